package jobs

import (
	"strings"
	"testing"
)

func TestNamesBeginWithTheNamespace(t *testing.T) {
	n, err := newNames("acme")
	if err != nil {
		t.Fatal(err)
	}
	id, err := ParseID("0190a1b2c3d47e5f8091a2b3c4d5e6f7")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		n.jobsStream(Interactive):               "acme-jobs-interactive",
		n.jobsStream(Background):                "acme-jobs-background",
		n.jobsStream(Batch):                     "acme-jobs-batch",
		n.usageStream():                         "acme-usage",
		n.bodiesStream():                        "acme-bodies",
		n.keysBucket():                          "acme-keys",
		n.modelsBucket():                        "acme-models",
		n.workersBucket():                       "acme-workers",
		n.job(Batch, "gpu", "t1", id):           "acme.jobs.batch.gpu.t1.0190a1b2c3d47e5f8091a2b3c4d5e6f7",
		n.poolFilter(Interactive, "gpu"):        "acme.jobs.interactive.gpu.>",
		n.classFilter(Background):               "acme.jobs.background.>",
		n.events("f1", id):                      "acme.events.f1.0190a1b2c3d47e5f8091a2b3c4d5e6f7",
		n.eventsMany("f1"):                      "acme.events.f1.many",
		n.eventsSub("f1"):                       "acme.events.f1.*",
		n.acks("f1", id):                        "acme.acks.f1.0190a1b2c3d47e5f8091a2b3c4d5e6f7",
		n.acksSub("f1"):                         "acme.acks.f1.*",
		n.control("w1"):                         "acme.control.w1",
		n.cancel():                              "acme.cancel",
		n.aliveWorker("w1"):                     "acme.alive.worker.w1",
		n.aliveWorkersSub():                     "acme.alive.worker.*",
		n.aliveFrontend("f1"):                   "acme.alive.frontend.f1",
		n.aliveFrontendsSub():                   "acme.alive.frontend.*",
		n.wanted("f1"):                          "acme.wanted.f1",
		n.hint("gpu"):                           "acme.hint.gpu",
		n.usage("t1"):                           "acme.usage.t1",
		n.usageFilter():                         "acme.usage.>",
		n.body(id, 3):                           "acme.bodies.0190a1b2c3d47e5f8091a2b3c4d5e6f7.3",
		n.bodyParts(id):                         "acme.bodies.0190a1b2c3d47e5f8091a2b3c4d5e6f7.*",
		n.bodiesFilter():                        "acme.bodies.>",
		n.record("t1", id):                      "acme.kept.t1.2024071112.0190a1b2c3d47e5f8091a2b3c4d5e6f7.record",
		n.metadata("t1", id):                    "acme.kept.t1.2024071112.0190a1b2c3d47e5f8091a2b3c4d5e6f7.metadata",
		n.keptPart("t1", id, 2):                 "acme.kept.t1.2024071112.0190a1b2c3d47e5f8091a2b3c4d5e6f7.p2",
		n.keptAll("t1", id):                     "acme.kept.t1.2024071112.0190a1b2c3d47e5f8091a2b3c4d5e6f7.*",
		n.recordsOf("t1", hourOf(id)):           "acme.kept.t1.2024071112.*.record",
		n.keptFilter():                          "acme.kept.>",
		n.result("t1", "batch_7", "12"):         "acme.results.t1.batch_7.12",
		n.resultPart("t1", "h", "n", id, 1):     "acme.results.t1.h.n.0190a1b2c3d47e5f8091a2b3c4d5e6f7.1",
		n.resultsFilter():                       "acme.results.>",
		n.replay(id):                            "acme.replay.0190a1b2c3d47e5f8091a2b3c4d5e6f7",
		n.replayFilter():                        "acme.replay.>",
		n.claim("t1", "ab"):                     "acme.claims.t1.ab",
		n.claimsFilter():                        "acme.claims.>",
		n.keptStream():                          "acme-kept",
		n.resultsStream():                       "acme-results",
		n.replayStream():                        "acme-events",
		n.claimsStream():                        "acme-claims",
		n.bucketStream(n.keysBucket()):          "KV_acme-keys",
		n.batchesBucket():                       "acme-batches",
		n.batchKey("t1", "batch_7"):             "$KV.acme-batches.t1.batch_7",
		n.runsStream():                          "acme-runs",
		n.run("batch_7"):                        "acme.runs.batch_7",
		n.runsFilter():                          "acme.runs.>",
		n.batchWake("batch_7"):                  "acme.wake.batch.batch_7",
		"consumer of gpu: " + n.consumer("gpu"): "consumer of gpu: gpu",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestValidName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "default": true, "GPU_1-b": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a.b": false, "a*": false, ">": false,
		"a b": false, "ä": false, "a\n": false, "a/b": false,
	} {
		if got := ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
	}
}

func TestClassesHaveNames(t *testing.T) {
	if len(Classes()) != numClasses {
		t.Fatalf("%d classes, want %d", len(Classes()), numClasses)
	}
	for _, c := range Classes() {
		got, err := ParseClass(c.String())
		if err != nil || got != c {
			t.Errorf("ParseClass(%q) = %v, %v", c, got, err)
		}
	}
	if _, err := ParseClass("urgent"); err == nil {
		t.Error("an unknown class was parsed")
	}
	if got := Class(9).String(); got != "class(9)" {
		t.Errorf("Class(9) = %s", got)
	}
}

func TestIDsSortByTimeAndHaveOneSpelling(t *testing.T) {
	last := NewID()
	for range 1000 {
		id := NewID()
		if id.IsZero() || id.String() <= last.String() {
			t.Fatalf("%s does not follow %s", id, last)
		}
		last = id
	}
	back, err := ParseID(last.String())
	if err != nil || back != last {
		t.Fatalf("ParseID(%s) = %v, %v", last, back, err)
	}
	text, err := last.AppendText([]byte("x"))
	if err != nil || string(text) != "x"+last.String() {
		t.Fatalf("AppendText = %s, %v", text, err)
	}
	for _, bad := range []string{"", "many", strings.ToUpper("0190a1b2c3d47e5f8091a2b3c4d5e6f7"), strings.Repeat("g", 32), last.String() + "0"} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) succeeded", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0190a1b2c3d47e5f8091a2b3c4d5e6f7")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("ParseID(%q) is spelled %s", s, id)
		}
	})
}
