package jobs

import (
	"net"
	"os"
	"syscall"
)

// hasLocal says whether there are sockets in no folder, and a way to ask who is behind one.
const hasLocal = true

// sameUser returns an error unless the other side of a connection runs as user.
func sameUser(c *net.UnixConn, user int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var other *syscall.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		other, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return err
	}
	switch {
	case asked != nil:
		return os.NewSyscallError("getsockopt", asked)
	case int(other.Uid) != user:
		return errOtherUser
	}
	return nil
}
