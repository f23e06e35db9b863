package jobs

import (
	"fmt"
	"strconv"
)

// names builds every name and subject that Osiris has in NATS. All of them begin
// with the namespace, so several installations can share one account. A stream is
// named with dashes, since a dot is not allowed there.
type names struct{ ns string }

func newNames(namespace string) (names, error) {
	if err := checkToken("namespace", namespace); err != nil {
		return names{}, err
	}
	return names{ns: namespace}, nil
}

// Streams.

func (n names) jobsStream(c Class) string { return n.ns + "-jobs-" + c.String() }
func (n names) usageStream() string       { return n.ns + "-usage" }
func (n names) bodiesStream() string      { return n.ns + "-bodies" }
func (n names) keptStream() string        { return n.ns + "-kept" }
func (n names) resultsStream() string     { return n.ns + "-results" }
func (n names) replayStream() string      { return n.ns + "-events" }
func (n names) claimsStream() string      { return n.ns + "-claims" }
func (n names) filesStream() string       { return n.ns + "-files" }
func (n names) noticesStream() string     { return n.ns + "-notices" }
func (n names) noticedStream() string     { return n.ns + "-noticed" }
func (n names) runsStream() string        { return n.ns + "-runs" }
func (n names) deliveriesStream() string  { return n.ns + "-deliveries" }

// consumer returns the name of the durable that serves a pool, the same in each
// class's stream. Autoscalers read it: it never changes.
func (n names) consumer(pool string) string { return pool }

// Buckets.

func (n names) keysBucket() string     { return n.ns + "-keys" }
func (n names) modelsBucket() string   { return n.ns + "-models" }
func (n names) workersBucket() string  { return n.ns + "-workers" }
func (n names) webhooksBucket() string { return n.ns + "-webhooks" }

func (n names) batchesBucket() string { return n.ns + "-batches" }

// bucketStream returns the stream below a bucket.
func (n names) bucketStream(bucket string) string { return "KV_" + bucket }

// Jobs: one subject each, `<ns>.jobs.<class>.<pool>.<tenant>.<job>`.

func (n names) job(c Class, pool, tenant string, id ID) string {
	return n.ns + ".jobs." + c.String() + "." + pool + "." + tenant + "." + id.String()
}

// lines selects jobs of the class batch of one tenant, whatever their pool; "*" is
// every job.
func (n names) lines(tenant, job string) string {
	return n.classPrefix(Batch) + "*." + tenant + "." + job
}

func (n names) poolFilter(c Class, pool string) string {
	return n.ns + ".jobs." + c.String() + "." + pool + ".>"
}

func (n names) classPrefix(c Class) string { return n.ns + ".jobs." + c.String() + "." }
func (n names) classFilter(c Class) string { return n.classPrefix(c) + ">" }

// Events and the acks of jobs, to one frontend.

func (n names) events(frontend string, id ID) string {
	return n.ns + ".events." + frontend + "." + id.String()
}

// eventsMany carries frames of several jobs in one message. It cannot be mistaken
// for a job: an id is 32 hexadecimal digits.
func (n names) eventsMany(frontend string) string { return n.ns + ".events." + frontend + ".many" }
func (n names) eventsSub(frontend string) string  { return n.ns + ".events." + frontend + ".*" }

func (n names) acks(frontend string, id ID) string {
	return n.ns + ".acks." + frontend + "." + id.String()
}
func (n names) acksSub(frontend string) string { return n.ns + ".acks." + frontend + ".*" }

// Control, liveness and hints: core messages, never stored.

func (n names) control(worker string) string { return n.ns + ".control." + worker }

// instance is an address of one start of a worker: another start under the same name
// has another.
func (n names) instance(worker string, start ID) string {
	return n.control(worker) + "." + start.String()
}

// sweeping is an address of whoever looks after kept jobs.
func (n names) sweeping(id ID) string { return n.ns + ".sweeping." + id.String() }

func (n names) cancel() string                    { return n.ns + ".cancel" }
func (n names) abort() string                     { return n.ns + ".abort" }
func (n names) aliveWorker(worker string) string  { return n.ns + ".alive.worker." + worker }
func (n names) aliveWorkersSub() string           { return n.ns + ".alive.worker.*" }
func (n names) aliveFrontend(front string) string { return n.ns + ".alive.frontend." + front }
func (n names) aliveFrontendsSub() string         { return n.ns + ".alive.frontend.*" }
func (n names) wanted(frontend string) string     { return n.ns + ".wanted." + frontend }
func (n names) hint(pool string) string           { return n.ns + ".hint." + pool }
func (n names) whoRuns(pool string) string        { return n.ns + ".who." + pool }

// Usage records and the parts of large bodies.

func (n names) usage(tenant string) string { return n.ns + ".usage." + tenant }
func (n names) usageFilter() string        { return n.ns + ".usage.>" }

func (n names) body(id ID, part int) string {
	return n.ns + ".bodies." + id.String() + "." + strconv.Itoa(part)
}
func (n names) bodyParts(id ID) string { return n.ns + ".bodies." + id.String() + ".*" }
func (n names) bodiesFilter() string   { return n.ns + ".bodies.>" }

// Kept jobs. Everything about one follows from its tenant and id: the hour is the
// id's, so that listing can walk hours.

const hourFormat = "2006010215"

func hourOf(id ID) string {
	var b [len(hourFormat)]byte
	return string(id.Time().AppendFormat(b[:0], hourFormat))
}

func (n names) keptPrefix(tenant string, id ID) string {
	return n.ns + ".kept." + tenant + "." + hourOf(id) + "." + id.String() + "."
}
func (n names) record(tenant string, id ID) string { return n.keptPrefix(tenant, id) + "record" }

// hidden is the record of a job that is not listed.
func (n names) hidden(tenant string, id ID) string   { return n.keptPrefix(tenant, id) + "hidden" }
func (n names) metadata(tenant string, id ID) string { return n.keptPrefix(tenant, id) + "metadata" }
func (n names) keptPart(tenant string, id ID, part int) string {
	return n.keptPrefix(tenant, id) + "p" + strconv.Itoa(part)
}

// sweep is the lease of whoever looks after kept jobs.
func (n names) sweep() string { return n.ns + ".kept.sweep" }

func (n names) keptAll(tenant string, id ID) string { return n.keptPrefix(tenant, id) + "*" }

// recordOf is where a job's record is.
func (n names) recordOf(j *Job) string {
	if j.Keep.Hidden {
		return n.hidden(j.Tenant, j.ID)
	}
	return n.record(j.Tenant, j.ID)
}

// recordsOf selects the records of a tenant's hour; "*" is every hour.
func (n names) recordsOf(tenant, hour string) string {
	return n.ns + ".kept." + tenant + "." + hour + ".*.record"
}

// metadataOf selects the metadata of a tenant's jobs that was set later.
func (n names) metadataOf(tenant string) string { return n.ns + ".kept." + tenant + ".*.*.metadata" }

// hiddenOf selects the hidden ones of a tenant.
func (n names) hiddenOf(tenant string) string { return n.ns + ".kept." + tenant + ".*.*.hidden" }
func (n names) keptFilter() string            { return n.ns + ".kept.>" }

// result of a completion (group is its hour, name its id) or of a batch's line
// (group is the batch, name the line).
func (n names) result(tenant, group, name string) string {
	return n.ns + ".results." + tenant + "." + group + "." + name
}

// resultPart is a part of a result too large for one message; a writer names its
// parts by an id of its own, since only one of several wins.
func (n names) resultPart(tenant, group, name string, writer ID, part int) string {
	return n.result(tenant, group, name) + "." + writer.String() + "." + strconv.Itoa(part)
}
func (n names) resultsFilter() string { return n.ns + ".results.>" }

// replay holds the stored events of a kept job.
func (n names) replay(id ID) string  { return n.ns + ".replay." + id.String() }
func (n names) replayFilter() string { return n.ns + ".replay.>" }

func (n names) claim(tenant, hash string) string { return n.ns + ".claims." + tenant + "." + hash }
func (n names) claimsFilter() string             { return n.ns + ".claims.>" }

// Notices: events for webhooks, their deliveries, one for each endpoint, and the
// memory of events that were handed out; how a test went.

func (n names) notice(tenant, event string) string { return n.ns + ".notices." + tenant + "." + event }
func (n names) noticesFilter() string              { return n.ns + ".notices.>" }
func (n names) delivery(tenant, endpoint, event string) string {
	return n.ns + ".deliveries." + tenant + "." + endpoint + "." + event
}
func (n names) deliveriesOf(tenant, endpoint string) string {
	return n.ns + ".deliveries." + tenant + "." + endpoint + ".*"
}
func (n names) deliveriesFilter() string            { return n.ns + ".deliveries.>" }
func (n names) noticed(tenant, event string) string { return n.ns + ".noticed." + tenant + "." + event }
func (n names) noticedFilter() string               { return n.ns + ".noticed.>" }
func (n names) tested(event string) string          { return n.ns + ".tested." + event }

// Batches: the value, the lease of whoever drives it, a hint that it was changed.

func (n names) batchKey(tenant, batch string) string {
	return "$KV." + n.batchesBucket() + "." + tenant + "." + batch
}
func (n names) run(batch string) string       { return n.ns + ".runs." + batch }
func (n names) runsFilter() string            { return n.ns + ".runs.>" }
func (n names) batchWake(batch string) string { return n.ns + ".wake.batch." + batch }

// runsConsumer is the durable that hands batches out to their drivers.
func (n names) runsConsumer() string { return "drivers" }

// Files. Parts are named by their upload, which the entry of the file names: a file
// can be committed under any id, and two writers of one file never mix. The entry's
// subject says what a list is sorted, filtered and summed by. "*" is every id.

func (n names) fileParts(tenant, upload string) string {
	return n.ns + ".files." + tenant + "." + upload + ".*"
}
func (n names) filePart(tenant, upload string, part int) string {
	return n.ns + ".files." + tenant + "." + upload + ".p" + strconv.Itoa(part)
}
func (n names) fileEntry(f *File) string {
	return n.ns + ".files." + f.Tenant + ".entry." + f.ID + "." + f.Upload + "." +
		strconv.FormatInt(f.Bytes, 10) + "." + strconv.FormatInt(f.Created.Unix(), 10) + "." + f.Purpose
}
func (n names) fileEntries(tenant, id string) string {
	return n.ns + ".files." + tenant + ".entry." + id + ".>"
}
func (n names) fileHold(tenant, upload, holder string) string {
	return n.ns + ".files." + tenant + ".hold." + upload + "." + holder
}
func (n names) filesFilter() string { return n.ns + ".files.>" }

// maxToken bounds every part of a subject that people choose.
const maxToken = 64

// validToken reports whether s may stand as one part of a subject and in the name
// of a stream, a consumer or a key: 1 to 64 of A-Z a-z 0-9 _ -.
func validToken(s string) bool {
	if len(s) == 0 || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// ValidName reports whether s may name a namespace, a pool, a tenant, a frontend
// or a worker: 1 to 64 of the characters A-Z a-z 0-9 _ and -.
func ValidName(s string) bool { return validToken(s) }

// checkToken returns an error that names what is wrong with s, or nil.
func checkToken(what, s string) error {
	if validToken(s) {
		return nil
	}
	return fmt.Errorf("%s %q: want 1 to %d of the characters A-Z a-z 0-9 _ -", what, s, maxToken)
}
