package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	// bodyAge is how long a large body is kept: longer than any job may take.
	bodyAge = 25 * time.Hour
	// claimAge is how long an idempotency key names what it was first used for.
	claimAge = 24 * time.Hour
	// batchAge is how long a batch that ended can be read.
	batchAge = 60 * 24 * time.Hour
	// workerTTL is how long a worker that says nothing is still listed; it speaks
	// every ten seconds.
	workerTTL = 30 * time.Second
	// peersGrace is how long a cluster may take to gather the peers for three
	// copies before one copy is settled for.
	peersGrace = 10 * time.Second
)

// prepare creates the streams and buckets that are missing and brings the limits
// of the others up to date.
func (c *Conn) prepare(ctx context.Context) error {
	if err := c.awaitJetStream(ctx); err != nil {
		return err
	}
	group, gctx := errgroup.WithContext(ctx)
	for _, want := range c.streams() {
		group.Go(func() error { return c.ensureStream(gctx, want) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for bucket, kv := range map[string]*jetstream.KeyValue{
		c.n.keysBucket(): &c.keys, c.n.modelsBucket(): &c.models, c.n.workersBucket(): &c.workers,
		c.n.webhooksBucket(): &c.webhooks,
	} {
		err := c.persist(ctx, "open bucket", func(ctx context.Context) (err error) {
			*kv, err = c.js.KeyValue(ctx, bucket)
			return err
		})
		if err != nil {
			return fmt.Errorf("open bucket %s: %w", bucket, err)
		}
	}
	return nil
}

// restoreStreams creates streams that were deleted, and reports whether there were
// any; what is there stays as it is.
func (c *Conn) restoreStreams(ctx context.Context) (made bool, err error) {
	for _, want := range c.streams() {
		err := c.persist(ctx, "restore stream "+want.Name, func(ctx context.Context) error {
			_, err := c.js.Stream(ctx, want.Name)
			if !hasCode(err, jetstream.JSErrCodeStreamNotFound) {
				return err
			}
			made = true
			c.log.Error("stream is missing and made anew", "stream", want.Name)
			return c.createStream(ctx, want, false)
		})
		if err != nil {
			return made, fmt.Errorf("restore stream %s: %w", want.Name, err)
		}
	}
	return made, nil
}

// streams returns the configuration of every stream, those below buckets included.
func (c *Conn) streams() []jetstream.StreamConfig {
	var all []jetstream.StreamConfig
	for _, class := range Classes() {
		all = append(all, jetstream.StreamConfig{
			Name: c.n.jobsStream(class), Subjects: []string{c.n.classFilter(class)},
			Description: "jobs of class " + class.String(),
			Retention:   jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
			MaxMsgs: c.cfg.MaxQueued, MaxBytes: c.cfg.MaxQueuedBytes,
			// The job is the subject, so these two refuse a job that is queued or runs.
			MaxMsgsPerSubject: 1, DiscardNewPerSubject: true,
			AllowDirect: true, AllowMsgTTL: true, AllowAtomicPublish: true,
		})
	}
	return append(all,
		jetstream.StreamConfig{
			Name: c.n.usageStream(), Subjects: []string{c.n.usageFilter()}, Description: "usage of every attempt",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
			MaxAge: c.cfg.UsageAge, MaxBytes: c.cfg.MaxUsageBytes, AllowDirect: true,
		},
		jetstream.StreamConfig{
			Name: c.n.bodiesStream(), Subjects: []string{c.n.bodiesFilter()}, Description: "parts of large request bodies",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
			MaxAge: bodyAge, MaxBytes: c.cfg.MaxBodiesBytes, AllowDirect: true,
		},
		// What clients were promised to find again is bounded by age and by the
		// server's disk: a limit in bytes would reserve that disk.
		jetstream.StreamConfig{
			Name: c.n.keptStream(), Subjects: []string{c.n.keptFilter()}, Description: "requests of kept jobs",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
			MaxAge: c.cfg.KeepResults, AllowDirect: true, AllowMsgTTL: true,
		},
		jetstream.StreamConfig{
			Name: c.n.resultsStream(), Subjects: []string{c.n.resultsFilter()}, Description: "results of kept jobs and of the lines of batches",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
			MaxAge: c.cfg.KeepResults, AllowDirect: true, AllowMsgTTL: true,
		},
		jetstream.StreamConfig{
			Name: c.n.replayStream(), Subjects: []string{c.n.replayFilter()}, Description: "events of kept streams",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
			MaxAge: c.cfg.KeepEvents, MaxBytes: c.cfg.MaxEventsBytes, AllowDirect: true,
		},
		jetstream.StreamConfig{
			Name: c.n.claimsStream(), Subjects: []string{c.n.claimsFilter()}, Description: "idempotency keys and what they name",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
			MaxAge: claimAge, AllowDirect: true,
		},
		c.noticesConfig(), c.deliveriesConfig(), c.noticedConfig(),
		c.bucket(c.n.webhooksBucket(), "webhook endpoints", 0),
		jetstream.StreamConfig{
			Name: c.n.runsStream(), Subjects: []string{c.n.runsFilter()}, Description: "batches that need a driver, or have one",
			Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
			MaxMsgsPerSubject: 1, DiscardNewPerSubject: true, AllowDirect: true,
		},
		c.batchesStream(),
		jetstream.StreamConfig{
			Name: c.n.filesStream(), Subjects: []string{c.n.filesFilter()}, Description: "files in parts, and their entries",
			Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
			AllowDirect: true, AllowMsgTTL: true,
		},
		c.bucket(c.n.keysBucket(), "API keys, hashed", 0),
		c.bucket(c.n.modelsBucket(), "which pool serves which model", 0),
		c.bucket(c.n.workersBucket(), "workers that are there", workerTTL),
	)
}

// bucket returns the stream below a key-value bucket, as the clients of NATS lay
// it out. Direct reads stay off: then every read is the leader's, and one made
// after an acknowledged write sees it.
func (c *Conn) bucket(name, description string, ttl time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: c.n.bucketStream(name), Subjects: []string{"$KV." + name + ".>"}, Description: description,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: 1, MaxBytes: 64 << 20, MaxAge: ttl,
		AllowRollup: true, DenyDelete: true,
	}
}

// batchesStream is the stream below the bucket of batches: one that is no longer
// written, because it ended, goes after batchAge.
func (c *Conn) batchesStream() jetstream.StreamConfig {
	s := c.bucket(c.n.batchesBucket(), "batches and where they stand", batchAge)
	s.MaxBytes = -1 // bounded by age: a limit would reserve the disk
	return s
}

// ensureStream creates the stream or updates its limits. Any number of processes
// may do so at once, on a cluster that is still electing.
func (c *Conn) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	began := time.Now()
	err := c.persist(ctx, "prepare stream "+want.Name, func(ctx context.Context) error {
		have, err := c.js.Stream(ctx, want.Name)
		if err == nil {
			return c.updateStream(ctx, have.CachedInfo().Config, want)
		}
		if hasCode(err, jetstream.JSErrCodeStreamNotFound) {
			return c.createStream(ctx, want, time.Since(began) > peersGrace)
		}
		return err
	})
	if hasCode(err, codeStorageExceeded) {
		return fmt.Errorf("prepare stream %s: %w: it reserves %d MiB; lower the queue's limits or raise max_file_store of nats",
			want.Name, err, want.MaxBytes>>20)
	}
	if err != nil {
		return fmt.Errorf("prepare stream %s: %w", want.Name, err)
	}
	return nil
}

// createStream creates a stream with the copies asked for; without a number, with
// three if there are servers for them. Only when that was tried for long enough
// (settle) is one copy made on a cluster of two.
func (c *Conn) createStream(ctx context.Context, want jetstream.StreamConfig, settle bool) error {
	if want.Replicas = c.cfg.Replicas; want.Replicas > 0 {
		_, err := c.js.CreateStream(ctx, want)
		return err
	}
	want.Replicas = 3
	_, err := c.js.CreateStream(ctx, want)
	switch {
	case hasCode(err, codeReplicasNoneHere):
	case hasCode(err, codeNoPeers) && settle && !strings.Contains(err.Error(), "offline"):
		c.log.Warn("cluster has no three servers: the stream gets one copy, and is lost with its server", "stream", want.Name)
	default:
		return err
	}
	want.Replicas = 1
	_, err = c.js.CreateStream(ctx, want)
	return err
}

// updateStream brings have up to want, if they differ in what updates may change.
func (c *Conn) updateStream(ctx context.Context, have, want jetstream.StreamConfig) error {
	merged, changed := mergeStream(have, want)
	if c.cfg.Replicas > 0 && c.cfg.Replicas != have.Replicas {
		merged.Replicas, changed = c.cfg.Replicas, true
	}
	if c.cfg.Replicas == 0 && have.Replicas < 3 && c.nc.ConnectedClusterName() != "" {
		raised := merged
		raised.Replicas = 3
		_, err := c.js.UpdateStream(ctx, raised)
		if !hasCode(err, codeNoPeers) && !hasCode(err, codeReplicasNoneHere) {
			return err
		}
	}
	if !changed {
		return nil
	}
	_, err := c.js.UpdateStream(ctx, merged)
	return err
}

// mergeStream returns have with the limits of want, and whether that differs from
// have. Subjects and abilities are only ever added: a newer version may rely on
// what this one does not know.
func mergeStream(have, want jetstream.StreamConfig) (jetstream.StreamConfig, bool) {
	merged := have
	changed := false
	if limit(have.MaxMsgs) != limit(want.MaxMsgs) {
		merged.MaxMsgs, changed = want.MaxMsgs, true
	}
	if limit(have.MaxBytes) != limit(want.MaxBytes) {
		merged.MaxBytes, changed = want.MaxBytes, true
	}
	if have.MaxAge != want.MaxAge {
		merged.MaxAge, changed = want.MaxAge, true
	}
	for _, able := range []struct {
		merged *bool
		want   bool
	}{
		{&merged.AllowDirect, want.AllowDirect}, {&merged.AllowMsgTTL, want.AllowMsgTTL},
		{&merged.AllowAtomicPublish, want.AllowAtomicPublish},
	} {
		if able.want && !*able.merged {
			*able.merged, changed = true, true
		}
	}
	for _, subject := range want.Subjects {
		if !slices.Contains(merged.Subjects, subject) {
			merged.Subjects, changed = append(slices.Clone(merged.Subjects), subject), true
		}
	}
	return merged, changed
}

// limit maps both spellings of "no limit" to one.
func limit(n int64) int64 { return max(n, 0) }
