// Checklog checks a Stele transparency log with the packages that the Go checksum database is checked with, so that
// nothing that Stele's own code believes about tiles, checkpoints and proofs goes unquestioned.
//
//	checklog tiles FOLDER VERIFIER_KEY [OLDER_CHECKPOINT_FILE…] < lines of "INDEX LEAF_HASH_HEX"
//	checklog proof VERIFIER_KEY PROOF_FILE…
//	checklog cosigned VERIFIER_KEY CHECKPOINT_FILE WITNESS_KEY…
//
// It prints a line for each thing that holds and ends with status 1 at the first that does not.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "checklog:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) >= 3 && args[0] == "tiles":
		return checkTiles(args[1], args[2], args[3:], in, out)
	case len(args) >= 3 && args[0] == "proof":
		return checkProofs(args[1], args[2:], out)
	case len(args) >= 4 && args[0] == "cosigned":
		return checkCosigned(args[1], args[2], args[3:], out)
	}
	return errors.New("usage: checklog tiles FOLDER KEY [CHECKPOINT…] | checklog proof KEY FILE… | checklog cosigned KEY FILE WITNESS_KEY…")
}

// openCheckpoint verifies a checkpoint and reads its head (https://c2sp.org/tlog-checkpoint).
func openCheckpoint(text []byte, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	// The Go checksum database has another first line and is otherwise the same.
	return tlog.ParseTree([]byte("go.sum database tree\n" + lines[1] + "\n" + lines[2] + "\n"))
}

// cosigner verifies the Ed25519 cosignatures of a witness (https://c2sp.org/tlog-cosignature), as note asks for it.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	time uint64
}

func newCosigner(vkey string) (*cosigner, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, fmt.Errorf("%q is no key of a witness", vkey)
	}
	digest := sha256.Sum256(append([]byte(name+"\n"), key...))
	id := binary.BigEndian.Uint32(digest[:])
	if fmt.Sprintf("%08x", id) != hash {
		return nil, fmt.Errorf("the id in %q is not that of its key", vkey)
	}
	return &cosigner{name: name, hash: id, key: key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	c.time = binary.BigEndian.Uint64(sig)
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", c.time, text)
	return ed25519.Verify(c.key, []byte(message), sig[8:])
}

func checkCosigned(key, file string, witnessKeys []string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(text, key)
	if err != nil {
		return err
	}
	for _, witnessKey := range witnessKeys {
		witness, err := newCosigner(witnessKey)
		if err != nil {
			return err
		}
		if _, err := note.Open(text, note.VerifierList(witness)); err != nil {
			return fmt.Errorf("%s: %w", witness.name, err)
		}
		fmt.Fprintf(out, "cosigned %d %s %d\n", tree.N, witness.name, witness.time)
	}
	return nil
}

// folderTiles reads tiles from the folder that a log would serve.
type folderTiles struct {
	folder string
	read   map[string]bool
}

func (t *folderTiles) Height() int { return tileHeight }

func (t *folderTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *folderTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, len(tiles))
	for i, tile := range tiles {
		// Go's paths name the height, which C2SP's leave out: it is always 8.
		path, found := strings.CutPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		if !found {
			return nil, fmt.Errorf("unexpected tile %s", tile.Path())
		}
		content, err := os.ReadFile(filepath.Join(t.folder, "tile", filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		if len(content) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %s has %d bytes", path, len(content))
		}
		t.read[path] = true
		contents[i] = content
	}
	return contents, nil
}

func checkTiles(folder, key string, olderFiles []string, in io.Reader, out io.Writer) error {
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(text, key)
	if err != nil {
		return err
	}
	tiles := &folderTiles{folder: folder, read: map[string]bool{}}
	// This reader verifies every tile against the head before it gives a hash of it.
	reader := tlog.TileHashReader(tree, tiles)
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the tiles have root %v, the checkpoint %v", root, tree.Hash)
	}
	fmt.Fprintf(out, "head %d %v\n", tree.N, tree.Hash)
	for _, file := range olderFiles {
		if err := checkContinues(file, key, tree, reader, out); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	leaves, err := checkLeaves(in, tree, reader)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "leaves %d\ntiles %d\n", leaves, len(tiles.read))
	return nil
}

func checkContinues(file, key string, tree tlog.Tree, reader tlog.HashReader, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	older, err := openCheckpoint(text, key)
	if err != nil {
		return err
	}
	if older.N > 0 && older.N < tree.N {
		proof, err := tlog.ProveTree(tree.N, older.N, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash); err != nil {
			return err
		}
	} else if older.N > tree.N || (older.N == tree.N && older.Hash != tree.Hash) {
		return fmt.Errorf("the tree of %d records does not continue it", tree.N)
	}
	fmt.Fprintf(out, "continues %d\n", older.N)
	return nil
}

func checkLeaves(in io.Reader, tree tlog.Tree, reader tlog.HashReader) (int, error) {
	count := 0
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var index int64
		var leafHex string
		if _, err := fmt.Sscanf(lines.Text(), "%d %s", &index, &leafHex); err != nil {
			return count, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		leaf, err := hashFromBytes(hex.DecodeString(leafHex))
		if err != nil {
			return count, err
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return count, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
			return count, fmt.Errorf("leaf %d: %w", index, err)
		}
		count++
	}
	return count, lines.Err()
}

// A document made by `stele proof` or `stele proof consistency`; encoding/json reads its base64 into []byte.
type document struct {
	Format    string
	LeafIndex int64 `json:"leaf_index"`
	Header    []byte
	Sections  []struct {
		Digest []byte
		Sealed []byte
		Key    []byte
	}
	InclusionPath   [][]byte `json:"inclusion_path"`
	Checkpoint      string
	Older           string   `json:"older_checkpoint"`
	Newer           string   `json:"newer_checkpoint"`
	ConsistencyPath [][]byte `json:"consistency_path"`
}

func checkProofs(key string, files []string, out io.Writer) error {
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var proof document
		if err := json.Unmarshal(content, &proof); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		switch proof.Format {
		case "stele-inclusion-proof/1":
			err = checkInclusion(proof, key, out)
		case "stele-consistency-proof/1":
			err = checkConsistency(proof, key, out)
		default:
			err = fmt.Errorf("unknown format %q", proof.Format)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func checkInclusion(proof document, key string, out io.Writer) error {
	tree, err := openCheckpoint([]byte(proof.Checkpoint), key)
	if err != nil {
		return err
	}
	// The leaf's data is the header and the digests of the sealed sections; RecordHash puts the 0x00 of RFC 6962 before it.
	data := proof.Header
	for i, section := range proof.Sections {
		if digest := sha256.Sum256(section.Sealed); section.Sealed != nil && string(digest[:]) != string(section.Digest) {
			return fmt.Errorf("section %d is not what its digest says", i)
		}
		data = append(data, section.Digest...)
	}
	path, err := hashes(proof.InclusionPath)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, proof.LeafIndex, tlog.RecordHash(data)); err != nil {
		return err
	}
	fmt.Fprintf(out, "included %d of %d\n", proof.LeafIndex, tree.N)
	return nil
}

func checkConsistency(proof document, key string, out io.Writer) error {
	older, err := openCheckpoint([]byte(proof.Older), key)
	if err != nil {
		return err
	}
	newer, err := openCheckpoint([]byte(proof.Newer), key)
	if err != nil {
		return err
	}
	path, err := hashes(proof.ConsistencyPath)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(path, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return err
	}
	fmt.Fprintf(out, "consistent %d of %d\n", older.N, newer.N)
	return nil
}

func hashes(path [][]byte) ([]tlog.Hash, error) {
	result := make([]tlog.Hash, len(path))
	for i, bytes := range path {
		hash, err := hashFromBytes(bytes, nil)
		if err != nil {
			return nil, err
		}
		result[i] = hash
	}
	return result, nil
}

func hashFromBytes(bytes []byte, err error) (tlog.Hash, error) {
	var hash tlog.Hash
	if err == nil && len(bytes) != tlog.HashSize {
		err = fmt.Errorf("a hash of %d bytes", len(bytes))
	}
	copy(hash[:], bytes)
	return hash, err
}
