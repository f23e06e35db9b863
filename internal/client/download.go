package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/osiris/osiris/pkg/protocol"
)

// Fetch writes the content of a stored file to w, from the byte at offset on. It
// goes on where a connection broke. It returns where it got to.
func (c *Client) Fetch(ctx context.Context, id string, w io.Writer, offset int64, got func(done, total int64)) (int64, error) {
	p := c.patience()
	for {
		n, err := c.fetch(ctx, id, w, offset, got)
		if n > offset {
			p.progress()
		}
		offset = n
		if err == nil {
			return offset, nil
		}
		if err := p.wait(ctx, err); err != nil {
			return offset, fmt.Errorf("download %s: %w", id, err)
		}
	}
}

// fetch is one attempt of Fetch.
func (c *Client) fetch(ctx context.Context, id string, w io.Writer, offset int64, got func(done, total int64)) (int64, error) {
	r := request{method: http.MethodGet, path: contentPath(id), header: http.Header{}}
	if offset > 0 {
		r.header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}
	ctx, idle := withIdle(ctx, c.cfg.Idle)
	defer idle.stop()
	resp, err := c.send(ctx, r)
	if err != nil {
		e, ok := errors.AsType[*protocol.Error](err)
		if ok && offset > 0 && e.Status == http.StatusRequestedRangeNotSatisfiable {
			return offset, nil // everything is here
		}
		return offset, idle.cause(err)
	}
	defer resp.Body.Close()
	if offset > 0 && resp.StatusCode != http.StatusPartialContent {
		if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil { // a server without ranges
			return offset, &brokenError{err}
		}
	}
	total := totalOf(resp, offset)
	buf := make([]byte, 64<<10)
	for {
		n, err := resp.Body.Read(buf)
		idle.heard()
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return offset, fmt.Errorf("write: %w", err)
			}
			offset += int64(n)
			if got != nil {
				got(offset, total)
			}
		}
		switch {
		case err == io.EOF:
			return offset, nil
		case err != nil:
			return offset, idle.cause(&brokenError{err})
		}
	}
}

// totalOf is the size of the whole file; 0 if the server does not say.
func totalOf(resp *http.Response, offset int64) int64 {
	if _, total, ok := strings.Cut(resp.Header.Get("Content-Range"), "/"); ok {
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			return n
		}
	}
	if resp.ContentLength < 0 {
		return 0
	}
	if resp.StatusCode == http.StatusPartialContent {
		return offset + resp.ContentLength
	}
	return resp.ContentLength
}

// Download stores the content of a file at path. It keeps the mode of what it replaces;
// a new file is its owner's alone, as answers may be confidential. What came of an
// earlier download that was interrupted is kept beside it and not fetched again, if it
// is a part of the same.
func (c *Client) Download(ctx context.Context, id, path string, got func(done, total int64)) error {
	part := path + "." + id + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if info, statErr := os.Stat(path); statErr == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = c.complete(ctx, id, f, got)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		return os.Rename(part, path)
	}
	if info, statErr := os.Stat(part); statErr == nil && info.Size() == 0 {
		err = errors.Join(err, os.Remove(part))
	}
	return err
}

// complete fetches what f has not of a stored file, or all of it if f has something
// else.
func (c *Client) complete(ctx context.Context, id string, f *os.File, got func(done, total int64)) error {
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = c.Fetch(ctx, id, f, have, got); err != nil || have == 0 {
		return err
	}
	if same, err := c.holds(ctx, id, f); err != nil || same {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = c.Fetch(ctx, id, f, 0, got)
	return err
}

// holds reports whether f has the content of a stored file, as far as the server tells:
// by its length, and by its SHA-256 if that is its entity tag.
func (c *Client) holds(ctx context.Context, id string, f *os.File) (bool, error) {
	resp, err := c.send(ctx, request{method: http.MethodHead, path: contentPath(id), limit: callLimit})
	if err != nil {
		return true, nil // a server that does not tell
	}
	defer resp.Body.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	digest := sha256.New()
	size, err := io.Copy(digest, f)
	if err != nil {
		return false, err
	}
	tag := strings.Trim(resp.Header.Get("ETag"), `"`)
	told, err := hex.DecodeString(tag)
	differs := err == nil && len(told) == sha256.Size && !bytes.Equal(told, digest.Sum(nil))
	return !differs && (resp.ContentLength < 0 || resp.ContentLength == size), nil
}

func contentPath(id string) string { return "files/" + url.PathEscape(id) + "/content" }

// idleWatch ends a context when nothing was heard for some time.
type idleWatch struct {
	ctx    context.Context
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

var errIdle = errors.New("nothing came for too long")

func withIdle(ctx context.Context, after time.Duration) (context.Context, *idleWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &idleWatch{ctx, after, time.AfterFunc(after, func() { cancel(errIdle) }), cancel}
}

func (w *idleWatch) heard() { w.timer.Reset(w.after) }

func (w *idleWatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// cause names silence as what it is: a broken connection.
func (w *idleWatch) cause(err error) error {
	if errors.Is(context.Cause(w.ctx), errIdle) {
		return &brokenError{errIdle}
	}
	return err
}
