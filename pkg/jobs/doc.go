// Package jobs is the queue between those who ask a model and those who run it.
// It lives in NATS JetStream and nowhere else, and no other package speaks to
// NATS.
//
//	Client.Submit ──► jobs stream ──► Consumer ──► Handler
//	      │        (class, pool)        │             │
//	      ▼                             ▼             ▼
//	   Stream ◄──── events of the attempts (core NATS) ◄── Attempt
//
// Within one program, and between two programs on one machine, events need no broker:
// near.go and local.go.
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
// A plain job belongs to the connection that asked for it. A kept job (Job.Keep)
// outlives it, its frontend and its workers: its record is stored before it is
// published, its events beside what live readers get, its result before it is
// removed, and only CancelKept and DeleteKept end it early. Lines of a batch are
// kept jobs whose record is the batch's file; Revoke ends those.
//
//	record ──► job ──► attempt ──► stored events ──► result (the first one stands)
//
// # What is where
//
// Every name begins with the namespace (Config.Namespace); names.go has them all.
//
//   - jobs: a work-queue stream for each class, bounded in jobs and bytes. A job's
//     subject ends with its id and holds one message, so a job that is queued or
//     running cannot be queued again. Each pool has one durable consumer per class.
//   - bodies: request bodies too large for one message, for 25 hours.
//   - kept: the record of each kept job, which is the job's own message, its
//     metadata, and the parts of a large body. results: how it ended. Both for
//     Config.KeepResults.
//   - events: the events of kept streams, numbered, for Config.KeepEvents.
//   - claims: which idempotency key named what, for a day.
//   - files: uploads and the output of batches, in parts. runs: the lease of whoever
//     drives a batch.
//   - notices: events for webhooks until they are handed out. deliveries: one for
//     each endpoint, until it took it. noticed: which events were handed out, for
//     three days.
//   - files: files in parts, and an entry for each, which is stored last and makes
//     it visible. What has no entry is swept an hour later.
//   - usage: one record for every attempt, for 30 days unless configured.
//   - keys, models, workers, webhooks: key-value buckets, small enough to be watched
//     whole; batches: one, which is not.
//
// Connect creates what is missing, whoever comes first; any number of processes may
// do so together. Limits follow the configuration of whoever connected last. What
// else a stream can do is only ever extended, so versions can be mixed, and a
// lowered limit refuses new jobs but never drops accepted ones.
//
// # Rules
//
// Each is followed by the tests that hold it.
//
//  1. A frontend subscribes before it publishes, and takes a job for accepted once
//     it is known to be stored: by its ack or its first event (TestStreamedJob).
//  2. Events carry attempt and number: a gap is filled, a stale attempt ignored.
//     Text never has a hole (TestSequence, TestLostEvents, TestServerRestarts).
//  3. Exactly one Done or Failed ends a Stream; an answer that broke off ends with
//     Failed (TestWorkerDies, TestFailureWithinAnEvent).
//  4. Once a streaming client has seen text, no other attempt adds to it: the
//     attempt goes on or the stream fails (TestNoTextOfTwoAttempts,
//     TestStopCutsShort). Before that, and of a JSON answer, a new attempt is
//     invisible (TestWorkerDies).
//  5. A kept job's result is stored before the job is removed, by a conditional
//     write: the first one stands, and what was done twice is told once
//     (TestKeptJobRunsOnce). Acks decide nothing: a late one can remove a job that
//     another worker runs. A job that comes again to the worker that runs it goes
//     on there (TestConsumerDeletedUnderARunningJob).
//  6. A job past its deadline is not started. Deadlines are durations since the
//     broker's timestamp by the broker's clock, whatever a worker's own shows
//     (TestDeadlineInTheQueue, TestDeadlineByTheBrokersClock). Being handed back is
//     no failure and counts toward nothing (TestHandedBackCountsTowardNothing).
//     Background jobs wait for a provider that is away, until their deadline
//     (TestBackgroundJobWaitsForItsProvider, TestRetryEndsAtTheDeadline); a kept job
//     that nobody ran until then ends with a result (TestKeptJobExpiresInTheQueue).
//  7. A worker runs no job without a free slot, and lower classes leave the
//     reserved slots alone (TestSlots, TestNeverMoreJobsThanSlots, TestClasses).
//  8. Memory is bounded: by stream, by body, by subscription. A worker at a full
//     window stops reading from its model until the frontend has read on
//     (TestLargeAnswerSlowReader, TestLostAcks).
//  9. No accepted job waits for nothing. What nobody runs is looked for in the
//     queue, an attempt that its worker does not know is given up, what was deleted
//     in the broker is made again (TestWorkerComesBackUnderItsName,
//     TestQueueEmptied, TestStreamsDeleted).
//  10. Secrets, prompts and answers are in no log line.
//  11. No request asks NATS for a key or a model: both are watched (Keyring,
//     Catalogue), and while NATS is away the last state stands.
//  12. On a cluster a read may miss a write that was just acknowledged. Every "not
//     there" that matters is the word of the stream's leader or of a conditional
//     write (TestBodyIsReadBackAtOnce). Every test of the queue runs on one node
//     and on a cluster of three.
//  13. An event is handed out once to each webhook that takes it, however often it is
//     told, and delivered at least once, whoever dies (TestNoticeIsToldOnce,
//     TestDeliverySurvivesItsCourier). An endpoint that is slow or dead delays no
//     other (TestSlowEndpointDelaysNobody), one that was deleted gets nothing more
//     (TestDeletedWebhookIsLeftAlone).
//  14. Any number of readers follow a kept job from any event on, through any
//     frontend: exactly the events after it, of one attempt, in order, none twice,
//     then one Done or Failed (TestCursor, TestFollow, TestFollowAcrossWorkers,
//     TestFollowOverRestarts). What is no longer stored is said to be gone, unless
//     the result has all of it (TestFollowAgedEvents). A slow reader goes back to
//     what is stored and holds up nobody (TestFollowSlowly).
//  15. A kept job that has a record and neither a result nor a place in the queue is
//     queued again when somebody asks (TestKeptIsNeverLost), and without anybody by
//     the frontend that sweeps (TestSweepQueuesAgain), which also ends jobs at their
//     deadlines (TestSweepEndsAtTheDeadline) and takes them from dead workers
//     (TestSweepTakesFromTheDead, TestSweepAfterEverythingDied); lists miss none that
//     they select (TestListKept, TestKeptIndex); one that was deleted
//     never comes back, whoever still runs it (TestDeleteKeptWhileItRuns). An
//     idempotency key has one owner (TestClaimedTogether). What is another tenant's
//     cannot be told from what is not there (TestKeptIsTheOwners).
//  16. Of every job can be told where it is, which worker runs it and how its attempts ended
//     (TestJobHistory, TestListJobs); it can be ended (TestCancelJob), and a kept one
//     that failed be run again, unless it was deleted (TestRetryJob).
//  17. A batch is written by compare-and-set alone (TestBatchIsWrittenByOne), and has
//     one driver at a time, which another replaces when it dies or hands over
//     (TestRunLease). A batch that nobody would drive is found again
//     (TestRunWithoutABatch, TestRunsAreRestored).
//
// When nobody can be asked, time decides. A worker that is gone gives up its jobs
// after 1 to 3 s, one that is only silent, or silent about a job, after 10 s; a
// frontend that nobody answers for is gone after 5 s; a job's lease is the backstop
// (Config.AckWait). The end of an attempt is told for 30 s of being connected.
//
// Errors that a client may see are *protocol.Error; every other error is for the
// log.
package jobs
