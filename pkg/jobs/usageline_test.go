package jobs

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/osiris/osiris/pkg/protocol"
)

func fullUsageRecord() UsageRecord {
	return UsageRecord{
		Job: "0123", Attempt: 3, Tenant: "default", Key: "k1", Model: "gpt-4o \"mini\" ü\u2028<&>", Class: "interactive", Pool: "default",
		Worker: "host-1", Provider: "openai", Target: "up", Status: StatusFailed, Error: "rate_limit", FinishReason: "stop",
		Usage:   protocol.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3, CachedTokens: 4, CacheWriteTokens: 5, ReasoningTokens: 6},
		QueueMS: 0.001, WorkerMS: 12.34, ModelMS: ms(math.MaxInt64), Time: time.Date(2026, 1, 2, 3, 4, 5, 60, time.UTC),
	}
}

// TestUsageLineIsJSON leaves out each field of a record in turn: the line is always
// what json.Marshal makes of it.
func TestUsageLineIsJSON(t *testing.T) {
	records := []UsageRecord{{}, fullUsageRecord()}
	for i := range reflect.TypeFor[UsageRecord]().NumField() {
		r := fullUsageRecord()
		reflect.ValueOf(&r).Elem().Field(i).SetZero()
		records = append(records, r)
	}
	for _, r := range records {
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.appendLine([]byte("before\n"))
		if err != nil || string(got) != "before\n"+string(want)+"\n" {
			t.Errorf("line is %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestUsageLineRefusesBrokenText(t *testing.T) {
	r := fullUsageRecord()
	r.Model = strings.Repeat("\xff", 3)
	if got, err := r.appendLine([]byte("before\n")); err == nil || string(got) != "before\n" {
		t.Errorf("line is %q, %v", got, err)
	}
}

func BenchmarkUsageLine(b *testing.B) {
	r := fullUsageRecord()
	buf := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.appendLine(buf); err != nil {
			b.Fatal(err)
		}
	}
}
