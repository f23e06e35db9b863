package jobs

import (
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
)

// labelHeader says in a few bytes what a list can select a kept job by, on its
// record, its metadata and its result: an index reads headers alone.
//
//	record    the model, then each pair of metadata, as hashes: "9ae16a3b.0b9d3c1f"
//	metadata  the pairs alone: ".0b9d3c1f"
//	result    its status: "1"
//
// A hash may say that a job is selected that is not, never the opposite.
const labelHeader = "Osiris-Label"

// labelled returns a message with a label; without one if that is "".
func labelled(subject string, data []byte, label string) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = data
	if label != "" {
		m.Header.Set(labelHeader, label)
	}
	return m
}

func recordLabel(j *Job) string {
	if !j.recorded() {
		return ""
	}
	return strconv.FormatUint(uint64(modelHash(j.Model)), 16) + pairsLabel(j.Keep.Metadata)
}

// pairsLabel is the label of metadata; of none it is ".", to differ from no label.
func pairsLabel(metadata map[string]string) string {
	if len(metadata) == 0 {
		return "."
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(uint64(pairHash(name, metadata[name])), 16))
	}
	return b.String()
}

func resultLabel(s ResultStatus) string { return strconv.Itoa(int(s)) }

func modelHash(model string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(model))
	return h.Sum32()
}

func pairHash(name, value string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name + "\x00" + value))
	return h.Sum32()
}

// readLabel reads the label of a record or of metadata; ok is false for none.
func readLabel(label string) (model uint32, pairs []uint32, ok bool) {
	first, rest, found := strings.Cut(label, ".")
	if !found {
		return 0, nil, false
	}
	if first != "" {
		n, err := strconv.ParseUint(first, 16, 32)
		if err != nil {
			return 0, nil, false
		}
		model = uint32(n)
	}
	for part := range strings.SplitSeq(rest, ".") {
		if part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 16, 32)
		if err != nil {
			return 0, nil, false
		}
		pairs = append(pairs, uint32(n))
	}
	return model, pairs, true
}

// readResultLabel reads the label of a result; 0 for none.
func readResultLabel(label string) ResultStatus {
	n, err := strconv.ParseUint(label, 10, 8)
	if err != nil || ResultStatus(n) < Completed || ResultStatus(n) > Deleted {
		return 0
	}
	return ResultStatus(n)
}
