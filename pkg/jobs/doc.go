// Package jobs is the queue between those who ask a model and those who run it.
// It lives in NATS JetStream and nowhere else, and no other package speaks to
// NATS.
//
//	Client.Submit ──► jobs stream ──► Consumer ──► Handler
//	      │        (class, pool)        │             │
//	      ▼                             ▼             ▼
//	   Stream ◄──── events of the attempts (core NATS) ◄── Attempt
//
// A frontend submits a job and reads its events; a worker of the job's pool takes
// it when it has a free slot and runs the handler, whose error alone decides what
// becomes of the job:
//
//	           Submit              pull               handler: nil
//	(nothing) ───────► queued ───────────► running ──────────────────► done
//	                     ▲                  │  │ │     handler: error
//	                     │  handed back,    │  │ └───────────────────► failed
//	                     └──────────────────┘  │ Close, deadline
//	                        worker lost        └─────────────────────► cancelled
//
// # What is where
//
// Every name begins with the namespace (Config.Namespace); names.go has them all.
//
//   - jobs: a work-queue stream for each class, bounded in jobs and bytes. A job's
//     subject ends with its id and holds one message, so a job that is queued or
//     running cannot be queued again. Each pool has one durable consumer per class.
//   - bodies: request bodies too large for one message, for 25 hours.
//   - usage: one record for every attempt, for 30 days unless configured.
//   - keys, models, workers: key-value buckets, small enough to be watched whole.
//
// Connect creates what is missing, whoever comes first; any number of processes may
// do so together. Limits follow the configuration of whoever connected last. What
// else a stream can do is only ever extended, so versions can be mixed, and a
// lowered limit refuses new jobs but never drops accepted ones.
//
// # Rules
//
//   - A frontend subscribes before it publishes.
//   - Events carry attempt and number: a gap is filled or noticed, a stale attempt
//     is ignored. Text never has a hole.
//   - Exactly one closing event ends a Stream.
//   - Acks decide nothing. A late ack can remove a job that another worker runs.
//   - A job past its deadline is not started. Deadlines are durations since the
//     broker's timestamp, so clocks need not agree.
//   - Being handed back is no failure and counts toward nothing.
//   - A worker holds no job without a free slot.
//   - Memory is bounded: by stream, by body, by subscription.
//   - No request asks NATS for a key or a model: both are watched (Keyring,
//     Catalogue), and while NATS is away the last state stands.
//   - On a cluster a read may miss a write that was just acknowledged. Every "not
//     there" that matters is the word of the stream's leader or of a conditional
//     write.
//   - Secrets, prompts and answers are in no log line.
//
// Errors that a client may see are *protocol.Error; every other error is for the
// log.
package jobs
