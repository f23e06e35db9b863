package jobs

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A frontend and a worker of one user on one machine need no broker between them for events
// either: the worker writes its messages to a Unix socket that the frontend listens on, and
// the broker, which would be woken to read and write each of them, sleeps. Only the way is
// another: the frames, the outbox before it and the decoder behind it are the same. What
// cannot go there goes through the broker, and frames that are lost with a connection are a
// gap like any other.
//
// The socket's address follows from the frontend's id, so nobody needs to be told. Neither
// side takes one that runs as another user for the other, and the frontend wants to hear
// its id, which only those know who can read the queue.

const (
	localStall   = time.Second // a frontend that reads nothing for so long gets its events through the broker
	localAgain   = time.Minute // for this time, as one of another user does
	localRenewal = localStall / 4
	localHello   = 5 * time.Second // a worker says its greeting within
	localLength  = 4               // bytes before each message: its length, little endian
	localLongest = 1 + maxOutbox + maxFrameData + frameHeader
)

var errOtherUser = errors.New("the other side runs as another user")

// localAddress is where a frontend listens: in no folder, and gone with it.
func localAddress(namespace, frontend string) *net.UnixAddr {
	sum := sha256.Sum256([]byte(namespace + "." + frontend))
	return &net.UnixAddr{Net: "unix", Name: "@osiris-events-" + hex.EncodeToString(sum[:16])}
}

// localWay is a worker's way to a frontend on its machine, while there is one. Safe for
// concurrent use.
type localWay struct {
	conn     *Conn
	frontend string
	control  string // where the worker is told things

	mu     sync.Mutex
	socket net.Conn // nil: there is no such way
	buf    []byte
	until  time.Time // deadline of writing
	again  time.Time // not tried before
}

// open looks for the frontend, unless it was found. It does not block: nobody listens on
// another machine, or in another container.
func (w *localWay) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !hasLocal || w.conn.cfg.Local == nil || w.socket != nil || time.Now().Before(w.again) {
		return
	}
	c, err := net.DialUnix("unix", nil, localAddress(w.conn.cfg.Namespace, w.frontend))
	if err != nil {
		return
	}
	if sameUser(c, os.Geteuid()) != nil {
		w.again = time.Now().Add(localAgain)
		_ = c.Close()
		return
	}
	w.socket, w.until = w.conn.cfg.Local(c), time.Time{}
	if w.writeLocked([]byte(w.frontend)) {
		w.writeLocked([]byte(w.control))
	}
}

// send writes a message and reports whether it went this way. It blocks while the frontend
// does not read, for localStall at most, and not soon again.
func (w *localWay) send(message []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.socket != nil && w.writeLocked(message)
}

func (w *localWay) writeLocked(message []byte) bool {
	if now := time.Now(); w.until.Sub(now) < localStall-localRenewal { // moving a deadline costs, and this one need not be exact
		w.until = now.Add(localStall)
		_ = w.socket.SetWriteDeadline(w.until)
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf[:0], uint32(len(message)))
	w.buf = append(w.buf, message...)
	_, err := w.socket.Write(w.buf)
	if cap(w.buf) > maxOutbox {
		w.buf = nil
	}
	if err == nil {
		return true
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.again = time.Now().Add(localAgain)
		w.conn.log.Warn("a frontend on this machine does not read, its events go through the broker", "frontend", w.frontend)
	}
	w.closeLocked()
	return false
}

func (w *localWay) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeLocked()
}

func (w *localWay) closeLocked() {
	if w.socket != nil {
		_ = w.socket.Close()
		w.socket = nil
	}
}

// listenLocal has workers of this machine send their events to a socket.
func (cl *Client) listenLocal() {
	if !hasLocal || cl.conn.cfg.Local == nil {
		return
	}
	ln, err := net.ListenUnix("unix", localAddress(cl.conn.cfg.Namespace, cl.cfg.ID))
	if err != nil {
		cl.log.Warn("all events come through the broker: no local socket", "error", err)
		return
	}
	context.AfterFunc(cl.ctx, func() { _ = ln.Close() })
	cl.wg.Go(func() {
		for {
			c, err := ln.AcceptUnix()
			switch {
			case cl.ctx.Err() != nil:
				return
			case err != nil: // too many open files
				cl.log.Warn("a worker's local socket was not accepted", "error", err)
				if !pause(cl.ctx, localStall) {
					return
				}
			default:
				cl.wg.Go(func() { cl.serveLocal(c) })
			}
		}
	})
}

// serveLocal takes a worker's events until it goes.
func (cl *Client) serveLocal(c *net.UnixConn) {
	stop := context.AfterFunc(cl.ctx, func() { _ = c.Close() })
	defer func() { stop(); _ = c.Close() }()
	err := sameUser(c, os.Geteuid())
	if err == nil {
		err = cl.readLocal(cl.conn.cfg.Local(c))
	}
	switch {
	case errors.Is(err, io.EOF), cl.ctx.Err() != nil:
	case errors.Is(err, errOtherUser): // which is no fault
		cl.log.Debug("a local socket for events was refused", "error", err)
	default:
		cl.log.Warn("a local socket for events was closed", "error", err)
	}
}

func (cl *Client) readLocal(c net.Conn) error {
	r := bufio.NewReaderSize(c, localLength+localLongest)
	control, err := cl.greeted(c, r)
	for err == nil {
		var message []byte
		if message, err = nextLocal(r); err == nil {
			cl.receive(message, control)
		}
	}
	return err
}

// greeted reads who the worker wants, and returns where it is told things.
func (cl *Client) greeted(c net.Conn, r *bufio.Reader) (control string, err error) {
	if err := c.SetReadDeadline(time.Now().Add(localHello)); err != nil {
		return "", err
	}
	frontend, err := nextLocal(r)
	if err != nil {
		return "", err
	}
	if string(frontend) != cl.cfg.ID {
		return "", errBadFrame
	}
	name, err := nextLocal(r)
	if err != nil {
		return "", err
	}
	return string(name), c.SetReadDeadline(time.Time{})
}

// nextLocal reads a message. It is valid until the next call.
func nextLocal(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(localLength)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n > localLongest {
		return nil, errBadFrame
	}
	whole, err := r.Peek(localLength + int(n))
	if err != nil {
		return nil, err
	}
	_, err = r.Discard(len(whole))
	return whole[localLength:], err
}
