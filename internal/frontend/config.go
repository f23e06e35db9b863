package frontend

import (
	"errors"
	"fmt"
	"time"
)

// Config is what a frontend is told. Zero fields take the defaults named here.
// SetConfig changes all of them but ID, MaxWaiting, ReadTimeout, IdleTimeout,
// MaxHeader and Poll while requests run; a request keeps the values it began with.
type Config struct {
	// MaxBody is the largest request body in bytes, as it arrives and inflated. 32 MiB.
	MaxBody int64
	// MaxBodies is how many bytes the large bodies of all requests may have together
	// until they are in the queue, beyond which one is refused with 503. At least
	// MaxBody. 256 MiB.
	MaxBodies int64
	// MaxFile is the largest file that may be uploaded, in bytes. 512 MB.
	MaxFile int64
	// TenantFiles is how many bytes all files of a tenant may have together. 10 GB.
	TenantFiles int64
	// StoreWait is how long a part of a file may take to be stored or read. 30 s.
	StoreWait time.Duration
	// RequestTimeout bounds a request from its arrival to its last byte. 10 min.
	RequestTimeout time.Duration
	// BackgroundTimeout bounds a background request, waiting included. 24 h.
	BackgroundTimeout time.Duration
	// HoldBack is how long a stream waits for its first chunk before the headers are
	// sent without it. 5 s.
	HoldBack time.Duration
	// KeepAlive is the silence after which a comment is sent into a stream. At least
	// 10 s in production (clients count comments), 15 s by default.
	KeepAlive time.Duration
	// WriteStall cuts a client that takes nothing for so long. 30 s.
	WriteStall time.Duration
	// Grace is how long Shutdown waits for answers to be told that it is over, after
	// its context ended. 2 s.
	Grace time.Duration
	// MaxWaiting is how many jobs may wait in a class of a pool before new ones are
	// refused. 10,000.
	MaxWaiting int64
	// ID names the frontend in subjects. A random one if empty.
	ID string
	// AllowAnonymous serves requests without a key, as tenant "anonymous". A key that
	// is sent is checked all the same as soon as any key exists.
	AllowAnonymous bool
	// DefaultPool queues requests while the catalogue is empty, that is before any
	// worker ever came. "default".
	DefaultPool string
	// BatchWindows are the completion windows that batches may ask for, as
	// protocol.ParseWindow reads them. 24h alone.
	BatchWindows []string

	// ReadTimeout bounds the wait for a request. A sender that keeps up 1 KiB/s gets
	// more time. 30 s.
	ReadTimeout time.Duration
	// IdleTimeout closes a connection without requests. 2 min.
	IdleTimeout time.Duration
	// MaxHeader is the largest request header in bytes. 64 KiB.
	MaxHeader int
	// Poll is the pause between two looks for clients that left. 250 ms.
	Poll time.Duration
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	orDefault(&c.MaxBody, 32<<20)
	orDefault(&c.MaxBodies, max(c.MaxBody, 256<<20))
	orDefault(&c.MaxFile, 512_000_000)
	orDefault(&c.TenantFiles, 10_000_000_000)
	orDefault(&c.StoreWait, 30*time.Second)
	orDefault(&c.RequestTimeout, 10*time.Minute)
	orDefault(&c.BackgroundTimeout, 24*time.Hour)
	orDefault(&c.HoldBack, 5*time.Second)
	orDefault(&c.KeepAlive, 15*time.Second)
	orDefault(&c.WriteStall, 30*time.Second)
	orDefault(&c.Grace, 2*time.Second)
	orDefault(&c.MaxWaiting, 10_000)
	orDefault(&c.DefaultPool, "default")
	orDefault(&c.ReadTimeout, 30*time.Second)
	orDefault(&c.IdleTimeout, 2*time.Minute)
	orDefault(&c.MaxHeader, 64<<10)
	orDefault(&c.Poll, 250*time.Millisecond)
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check reports every fault at once.
func (c Config) check() error {
	var faults []error
	positive := func(name string, value int64) {
		if value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %d: it must be positive", name, value))
		}
	}
	positive("MaxBody", c.MaxBody)
	if c.MaxBodies < c.MaxBody {
		faults = append(faults, fmt.Errorf("MaxBodies is %d: it must be at least MaxBody, %d", c.MaxBodies, c.MaxBody))
	}
	positive("MaxFile", c.MaxFile)
	positive("TenantFiles", c.TenantFiles)
	positive("StoreWait", int64(c.StoreWait))
	positive("RequestTimeout", int64(c.RequestTimeout))
	positive("BackgroundTimeout", int64(c.BackgroundTimeout))
	positive("HoldBack", int64(c.HoldBack))
	positive("KeepAlive", int64(c.KeepAlive))
	positive("WriteStall", int64(c.WriteStall))
	positive("Grace", int64(c.Grace))
	positive("MaxWaiting", c.MaxWaiting)
	positive("ReadTimeout", int64(c.ReadTimeout))
	positive("IdleTimeout", int64(c.IdleTimeout))
	positive("MaxHeader", int64(c.MaxHeader))
	positive("Poll", int64(c.Poll))
	faults = append(faults, checkWindows(c.BatchWindows)...)
	return errors.Join(faults...)
}
