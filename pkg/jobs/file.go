package jobs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// FilePrefix begins every id of a file.
const FilePrefix = "file-"

var (
	// ErrNoFile says that the tenant has no such file: it never had, it expired, or it
	// was deleted, perhaps while it was read.
	ErrNoFile = errors.New("no such file")
	// ErrFileCorrupt says that stored parts are not what was written. It is never seen
	// unless somebody wrote to the stream by hand or a disk lied.
	ErrFileCorrupt = errors.New("file is not what was stored")
	// ErrNoRoom says that the server's store is full. What was being written is gone.
	ErrNoRoom = errors.New("no room to store files")
)

// File is what is known of a file besides its content. It is a value: nothing
// changes a stored file.
type File struct {
	ID       string    `json:"id"` // "file-" and 32 hexadecimal digits
	Tenant   string    `json:"tenant"`
	Key      string    `json:"key,omitzero"` // id of the API key that made it
	Filename string    `json:"filename"`
	Purpose  string    `json:"purpose"` // a name, as ValidName has it
	Bytes    int64     `json:"bytes"`
	Created  time.Time `json:"created"`          // whole seconds
	Expires  time.Time `json:"expires,omitzero"` // zero: never
	SHA256   string    `json:"sha256"`           // of the content, hexadecimal
	Upload   string    `json:"upload"`           // names the parts
	Parts    int       `json:"parts"`
	PartSize int       `json:"part_size"` // of all parts but the last
}

// FileID returns the public id of a file that is named by id.
func FileID(id ID) string { return FilePrefix + id.String() }

// NewFileID returns a fresh id of a file.
func NewFileID() string { return FileID(NewID()) }

// validFileID reports whether id is one that FileID could return. Only such a one
// ever becomes a part of a subject.
func validFileID(id string) bool {
	digits, ok := strings.CutPrefix(id, FilePrefix)
	if !ok {
		return false
	}
	_, err := ParseID(digits)
	return err == nil
}

// check reports what would make a file unreadable or its subject wrong.
func (f *File) check() error {
	if err := checkToken("tenant", f.Tenant); err != nil {
		return err
	}
	if err := checkToken("purpose", f.Purpose); err != nil {
		return err
	}
	if !validFileID(f.ID) {
		return fmt.Errorf("file id %q: want file- and 32 hexadecimal digits", f.ID)
	}
	if !f.Expires.IsZero() && !f.Expires.After(f.Created) {
		return errors.New("file expires before it is created")
	}
	return nil
}

// expired reports whether the file's time is over. The server removes its entry at
// about the same moment.
func (f *File) expired(now time.Time) bool { return !f.Expires.IsZero() && !now.Before(f.Expires) }

func decodeFile(data []byte) (File, error) {
	var f File
	if err := json.Unmarshal(data, &f); err != nil {
		return File{}, fmt.Errorf("decode file entry: %w", err)
	}
	if err := f.check(); err != nil {
		return File{}, fmt.Errorf("decode file entry: %w", err)
	}
	if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != 32 || f.Bytes < 0 || f.PartSize <= 0 ||
		int64(f.Parts) != (f.Bytes+int64(f.PartSize)-1)/int64(f.PartSize) {
		return File{}, errors.New("decode file entry: sizes or sum make no sense")
	}
	return f, nil
}

// File returns a file of the tenant, or ErrNoFile. It asks the leader: a file that
// was committed is there. It keeps trying until ctx ends.
func (c *Conn) File(ctx context.Context, tenant, id string) (File, error) {
	if !validToken(tenant) || !validFileID(id) {
		return File{}, ErrNoFile
	}
	m, err := c.leaderGet(ctx, c.n.filesStream(), question{LastFor: c.n.fileEntries(tenant, id)})
	if errors.Is(err, errNotStored) {
		return File{}, ErrNoFile
	}
	if err != nil {
		return File{}, fmt.Errorf("read file entry: %w", err)
	}
	f, err := decodeFile(m.Data)
	if err != nil {
		return File{}, err
	}
	if f.expired(time.Now()) {
		return File{}, ErrNoFile
	}
	return f, nil
}

// DeleteFile removes a file, or returns ErrNoFile. Those who hold its content go on
// reading it. It keeps trying until ctx ends.
func (c *Conn) DeleteFile(ctx context.Context, tenant, id string) error {
	f, err := c.File(ctx, tenant, id)
	if err != nil {
		return err
	}
	// The entry goes first: from here on nobody begins to read, and whoever took hold
	// of the content before is seen below.
	if err := c.purge(ctx, c.n.filesStream(), c.n.fileEntries(tenant, id)); err != nil {
		return fmt.Errorf("delete file: %w", err)
	}
	held, err := c.held(ctx, tenant, f.Upload)
	if err != nil || held {
		return err
	}
	if err := c.purge(ctx, c.n.filesStream(), c.n.fileParts(tenant, f.Upload)); err != nil {
		return fmt.Errorf("delete file: %w", err)
	}
	return nil
}
