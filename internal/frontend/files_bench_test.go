package frontend

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

// BenchmarkFiles sends a file of 64 MB over HTTP and reads it back, with client,
// frontend and NATS in one process.
func BenchmarkFiles(b *testing.B) {
	content := strings.Repeat(inputLine, 64<<20/len(inputLine))
	body, kind := form(b, batchFields(content)...)
	for nodes, nats := range map[int]func(testing.TB) *jobstest.NATS{1: jobstest.One, 3: jobstest.Three} {
		r := startOn(b, nats(b), anyone(), nil)
		var f fileObject
		b.Run(fmt.Sprintf("nodes=%d/upload", nodes), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				resp, err := r.http.Post(r.url+"/v1/files", kind, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				err = json.NewDecoder(resp.Body).Decode(&f)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status, err)
				}
				b.StopTimer()
				if err := r.conn.DeleteFile(b.Context(), anonymous, f.ID); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		resp, got := r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind)
		if err := json.Unmarshal(got, &f); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status, err)
		}
		b.Run(fmt.Sprintf("nodes=%d/download", nodes), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				resp, err := r.http.Get(r.url + "/v1/files/" + f.ID + "/content")
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if n != int64(len(content)) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
