package batch

import (
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/protocol"
)

// Config configures a Driver. The zero value of every field is a sensible default.
type Config struct {
	ID          string // of the frontend, for people; "" for a random one
	Running     int    // batches driven at the same time; others wait; 64
	LinesLeast  int    // lines that a pool's queue gets from here while there are any; 200
	LinesMost   int    // lines in the queue of a pool from here, of all batches together; 2,000
	MixedModels bool   // several models in one file
	MaxBody     int64  // bytes of one request; 32 MiB

	DefaultPool    string // for models of which nobody ever heard; "default"
	AllowAnonymous bool   // batches made without a key go on
	Anonymous      string // id of the key that those have

	// Drain is how long running lines of a cancelled batch may take to end; 10 min.
	Drain time.Duration
	// FilesExpire is how long output and error files are kept, unless the batch says
	// otherwise; 30 days.
	FilesExpire time.Duration
}

func (cfg Config) withDefaults() Config {
	setDefault(&cfg.ID, jobs.NewID().String())
	setDefault(&cfg.Running, 64)
	setDefault(&cfg.LinesLeast, 200)
	setDefault(&cfg.LinesMost, 2000)
	setDefault(&cfg.MaxBody, jobs.DefaultMaxBody)
	setDefault(&cfg.DefaultPool, "default")
	setDefault(&cfg.Anonymous, "anonymous")
	setDefault(&cfg.Drain, 10*time.Minute)
	setDefault(&cfg.FilesExpire, 30*24*time.Hour)
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// access is what the key that created a batch may do now.
type access struct {
	keys      *jobs.Keyring
	catalogue *jobs.Catalogue
	cfg       *Config
}

// key returns the key, or a *protocol.Error: 401 for one that is revoked or has
// expired. known is false for a key that this process has not heard of.
func (a access) key(id string) (key *jobs.Key, known bool, err error) {
	if id == a.cfg.Anonymous && a.cfg.AllowAnonymous {
		return &jobs.Key{ID: id}, true, nil
	}
	key, known = a.keys.ByID(id)
	if !known {
		return nil, false, protocol.ErrBadKey(protocol.MaskKey(id))
	}
	if !key.Usable(time.Now()) {
		return nil, true, protocol.ErrBadKey(key.Hint)
	}
	return key, true, nil
}

// longestModel is how many bytes the name of a model may have, as in requests.
const longestModel = 512

// pool returns the pool that serves the model to the key.
func (a access) pool(key *jobs.Key, model string) (pool string, err error) {
	if len(model) > longestModel || !key.Allows(model) {
		return "", protocol.ErrModelNotFound(model)
	}
	pool, ok := a.catalogue.Pool(model)
	if ok {
		return pool, nil
	}
	if !a.catalogue.Empty() {
		return "", protocol.ErrModelNotFound(model)
	}
	return a.cfg.DefaultPool, nil // no worker ever came: the first one will know
}
