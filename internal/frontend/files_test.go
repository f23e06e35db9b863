package frontend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/osiris/osiris/pkg/jobs/jobstest"
)

const inputLine = `{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"echo","messages":[]}}` + "\n"

// field is one part of a form: a file if it has a filename.
type field struct{ name, value, filename string }

func batchFields(content string) []field {
	return []field{{"purpose", "batch", ""}, {"file", content, "in.jsonl"}}
}

// form writes fields as multipart/form-data.
func form(t testing.TB, fields ...field) (body, contentType string) {
	t.Helper()
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		create := func() (io.Writer, error) { return w.CreateFormField(f.name) }
		if f.filename != "" {
			create = func() (io.Writer, error) { return w.CreateFormFile(f.name, f.filename) }
		}
		part, err := create()
		if err == nil {
			_, err = io.WriteString(part, f.value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

type fileObject struct {
	ID            string  `json:"id"`
	Object        string  `json:"object"`
	Bytes         int64   `json:"bytes"`
	CreatedAt     int64   `json:"created_at"`
	ExpiresAt     *int64  `json:"expires_at"`
	Filename      string  `json:"filename"`
	Purpose       string  `json:"purpose"`
	Status        string  `json:"status"`
	StatusDetails *string `json:"status_details"`
}

// upload sends a form that must be taken.
func (r *rig) upload(fields []field, header ...string) fileObject {
	r.t.Helper()
	body, kind := form(r.t, fields...)
	resp, got := r.do(http.MethodPost, "/v1/files", body, append(header, "Content-Type", kind)...)
	var f fileObject
	if err := json.Unmarshal(got, &f); resp.StatusCode != http.StatusOK || err != nil {
		r.t.Fatalf("upload: %s %s", resp.Status, got)
	}
	return f
}

func TestFileRoutes(t *testing.T) {
	for name, nodes := range map[string]func(testing.TB) *jobstest.NATS{"one": jobstest.One, "three": jobstest.Three} {
		t.Run(name, func(t *testing.T) {
			r := startOn(t, nodes(t), anyone(), nil)
			content := strings.Repeat(inputLine, 20_000) // several parts
			f := r.upload(batchFields(content))
			if f.Object != "file" || f.Bytes != int64(len(content)) || f.Filename != "in.jsonl" || f.Purpose != "batch" ||
				f.Status != "processed" || f.ExpiresAt == nil || *f.ExpiresAt != f.CreatedAt+2592000 || !strings.HasPrefix(f.ID, "file-") {
				t.Errorf("file object: %+v", f)
			}
			resp, got := r.do(http.MethodGet, "/v1/files/"+f.ID, "")
			var again fileObject
			if err := json.Unmarshal(got, &again); err != nil || resp.StatusCode != 200 || again.ID != f.ID {
				t.Errorf("get: %s %s", resp.Status, got)
			}
			resp, got = r.do(http.MethodGet, "/v1/files/"+f.ID+"/content", "")
			if resp.StatusCode != 200 || string(got) != content {
				t.Errorf("content: %s, %d bytes", resp.Status, len(got))
			}
			if d := resp.Header.Get("Content-Disposition"); d != `attachment; filename="in.jsonl"` || resp.ContentLength != f.Bytes {
				t.Errorf("headers of the content: %v", resp.Header)
			}
			resp, got = r.do(http.MethodDelete, "/v1/files/"+f.ID, "")
			if want := `{"id":"` + f.ID + `","object":"file","deleted":true}`; resp.StatusCode != 200 || string(got) != want {
				t.Errorf("delete: %s %s", resp.Status, got)
			}
			for _, path := range []string{f.ID, f.ID + "/content", "file-1", "x", "file-*", "..", "file-%3E"} {
				resp, got = r.do(http.MethodGet, "/v1/files/"+path, "")
				if msg := wantError(t, resp, got, 404, "invalid_request_error", ""); !strings.HasPrefix(msg, "No such File object: ") && !strings.HasPrefix(msg, "Invalid URL") {
					t.Errorf("%s: %s", path, msg)
				}
			}
			resp, got = r.do(http.MethodDelete, "/v1/files/"+f.ID, "")
			if msg := wantError(t, resp, got, 404, "invalid_request_error", ""); msg != "No such File object: "+f.ID {
				t.Error(msg)
			}
		})
	}
}

func TestUploadFieldsInAnyOrder(t *testing.T) {
	r := start(t, anyone(), nil)
	fields := []field{
		{"file", inputLine, "in.jsonl"}, {"purpose", "batch", ""},
		{"expires_after[anchor]", "created_at", ""}, {"expires_after[seconds]", "3600", ""},
	}
	for i := range 24 { // every permutation
		rest, n := append([]field(nil), fields...), i
		var order []field
		for k := len(rest); k > 0; k-- {
			order = append(order, rest[n%k])
			rest = append(rest[:n%k], rest[n%k+1:]...)
			n /= k
		}
		f := r.upload(order)
		if f.Bytes != int64(len(inputLine)) || f.Purpose != "batch" || f.ExpiresAt == nil || *f.ExpiresAt != f.CreatedAt+3600 {
			t.Errorf("%v: %+v", order, f)
		}
	}
	dotted := r.upload(append(batchFields(inputLine), field{"expires_after.anchor", "created_at", ""}, field{"expires_after.seconds", "7200", ""}))
	if *dotted.ExpiresAt != dotted.CreatedAt+7200 {
		t.Errorf("dotted: %+v", dotted)
	}
	if f := r.upload([]field{{"file", "any thing", "a b.bin"}, {"purpose", "user_data", ""}}); f.ExpiresAt != nil || f.Filename != "a b.bin" {
		t.Errorf("user data: %+v", f)
	}
}

func TestUploadRefused(t *testing.T) {
	r := start(t, Config{AllowAnonymous: true, MaxFile: 100_000}, nil)
	const missing, unknown, invalid = "missing_required_parameter", "unknown_parameter", "invalid_value"
	format := "Invalid file format for Batch API. Must be .jsonl"
	file, purpose := field{"file", inputLine, "in.jsonl"}, field{"purpose", "batch", ""}
	for name, c := range map[string]struct {
		fields  []field
		status  int
		code    string
		message string
	}{
		"no file":            {[]field{purpose}, 400, missing, "Missing required parameter: 'file'."},
		"no purpose":         {[]field{file}, 400, missing, "Missing required parameter: 'purpose'."},
		"nothing":            {nil, 400, missing, "Missing required parameter: 'file'."},
		"unknown purpose":    {[]field{{"purpose", "fun", ""}, file}, 400, invalid, "Invalid value: 'fun'. Supported values are: "},
		"later":              {[]field{file, {"purpose", "fun", ""}}, 400, invalid, "Invalid value: 'fun'. Supported values are: "},
		"output purpose":     {[]field{file, {"purpose", "batch_output", ""}}, 400, invalid, "Invalid value: 'batch_output'."},
		"extra field":        {[]field{purpose, {"colour", "red", ""}, file}, 400, unknown, "Unknown parameter: 'colour'."},
		"extra file":         {[]field{purpose, {"other", "red", "f"}, file}, 400, unknown, "Unknown parameter: 'other'."},
		"two files":          {[]field{purpose, file, file}, 400, "duplicate_parameter", "Duplicate parameter: 'file'."},
		"two purposes":       {[]field{purpose, purpose, file}, 400, "duplicate_parameter", "Duplicate parameter: 'purpose'."},
		"file as text":       {[]field{purpose, {"file", "x", ""}}, 400, "invalid_type", "Invalid type for 'file'"},
		"anchor":             {[]field{purpose, file, {"expires_after[anchor]", "now", ""}}, 400, invalid, "Invalid value: 'now'."},
		"no anchor":          {[]field{purpose, file, {"expires_after[seconds]", "3600", ""}}, 400, missing, "Missing required parameter: 'expires_after[anchor]'."},
		"no seconds":         {[]field{purpose, file, {"expires_after[anchor]", "created_at", ""}}, 400, missing, "Missing required parameter: 'expires_after[seconds]'."},
		"too soon":           {[]field{purpose, {"expires_after[seconds]", "3599", ""}, file}, 400, "integer_below_min_value", "Invalid 'expires_after[seconds]': integer below minimum value. Expected a value >= 3600, but got 3599 instead."},
		"too late":           {[]field{purpose, {"expires_after[seconds]", "2592001", ""}, file}, 400, "integer_above_max_value", "Invalid 'expires_after[seconds]': integer above"},
		"no number":          {[]field{purpose, {"expires_after[seconds]", "1h", ""}, file}, 400, "invalid_type", "Invalid type for 'expires_after[seconds]': expected an integer"},
		"empty batch":        {[]field{purpose, {"file", "", "in.jsonl"}}, 400, "", format},
		"empty":              {[]field{{"purpose", "vision", ""}, {"file", "", "in.jpg"}}, 400, "empty_file", "The file is empty."},
		"not jsonl":          {[]field{purpose, {"file", inputLine, "in.json"}}, 400, "", format},
		"not jsonl, later":   {[]field{{"file", inputLine, "in.txt"}, purpose}, 400, "", format},
		"first line":         {[]field{purpose, {"file", "hello\n" + inputLine, "in.jsonl"}}, 400, "", format},
		"first line, blanks": {[]field{purpose, {"file", "\xef\xbb\xbf \r\n\n{]\n", "in.jsonl"}}, 400, "", format},
		"too large":          {[]field{purpose, {"file", strings.Repeat(inputLine, 1200), "in.jsonl"}}, 413, "", "The file is too large: the limit is 100000 bytes."},
		"long field":         {[]field{{"purpose", strings.Repeat("x", 10_000), ""}, file}, 400, invalid, "Invalid value: 'xxx"},
		"long name":          {[]field{purpose, {"file", inputLine, strings.Repeat("x", 300) + ".jsonl"}}, 400, "string_above_max_length", "Invalid 'file': its name is too long."},
	} {
		t.Run(name, func(t *testing.T) {
			body, kind := form(t, c.fields...)
			resp, got := r.do(http.MethodPost, "/v1/files", body, "Content-Type", kind)
			if msg := wantError(t, resp, got, c.status, "invalid_request_error", c.code); !strings.HasPrefix(msg, c.message) {
				t.Errorf("message %q, want %q", msg, c.message)
			}
		})
	}
	if resp, got := r.do(http.MethodGet, "/v1/files", ""); resp.StatusCode != 200 || string(got) != `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}` {
		t.Errorf("left behind: %s", got)
	}
}

func TestUploadThatIsNoForm(t *testing.T) {
	r := start(t, anyone(), nil)
	body, kind := form(t, batchFields(inputLine)...)
	_, params, _ := mime.ParseMediaType(kind)
	for name, c := range map[string]struct{ kind, body, message string }{
		"JSON":         {"application/json", `{"purpose":"batch"}`, "Invalid content type"},
		"no type":      {"", body, "Invalid content type"},
		"no boundary":  {"multipart/form-data", body, "Invalid content type"},
		"long":         {"multipart/form-data; boundary=" + strings.Repeat("x", 71), body, "Invalid content type"},
		"mixed":        {strings.Replace(kind, "form-data", "mixed", 1), body, "Invalid content type"},
		"other":        {"multipart/form-data; boundary=other", body, "The body could not be parsed"},
		"cut":          {kind, body[:len(body)-10], "The body could not be parsed"},
		"empty":        {kind, "", "The body could not be parsed"},
		"only the end": {kind, "--" + params["boundary"] + "--\r\n", "Missing required parameter: 'file'."},
		"headers":      {kind, "--" + params["boundary"] + "\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 300) + "\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, got := r.do(http.MethodPost, "/v1/files", c.body, "Content-Type", c.kind)
			status := 400
			if c.message == "" {
				status = resp.StatusCode
				if status != 400 && status != 413 {
					t.Errorf("status %d", status)
				}
			}
			code := ""
			if strings.HasPrefix(c.message, "Missing") {
				code = "missing_required_parameter"
			}
			if msg := wantError(t, resp, got, status, "invalid_request_error", code); !strings.HasPrefix(msg, c.message) {
				t.Errorf("message %q, want %q", msg, c.message)
			}
		})
	}
}

func TestFileRanges(t *testing.T) {
	r := start(t, anyone(), nil)
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * 7 >> (i % 5))
	}
	f := r.upload([]field{{"purpose", "user_data", ""}, {"file", string(content), "b.bin"}})
	path, n := "/v1/files/"+f.ID+"/content", len(content)
	resp, _ := r.do(http.MethodHead, path, "")
	tag := resp.Header.Get("Etag")
	if resp.StatusCode != 200 || resp.ContentLength != int64(n) || tag == "" || resp.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %s %v", resp.Status, resp.Header)
	}
	for _, c := range []struct {
		header   string
		from, to int // to is the end; 0,0: the whole
		status   int
	}{
		{"bytes=0-0", 0, 1, 206}, {"bytes=5-9", 5, 10, 206}, {"bytes=-3", n - 3, n, 206},
		{fmt.Sprintf("bytes=%d-", 1<<20-1), 1<<20 - 1, n, 206}, {"bytes=10-99999999999999999999999", 10, n, 206},
		{"bytes=0-", 0, n, 206}, {"bytes=-99999999", 0, n, 206}, {" Bytes = 1-2 ", 1, 3, 206},
		{"bytes=9-5", 0, 0, 200}, {"bytes=", 0, 0, 200}, {"bytes=x-", 0, 0, 200}, {"lines=1-2", 0, 0, 200}, {"bytes", 0, 0, 200},
		{"bytes=+1-2", 0, 0, 200}, {"bytes=0-,0-", 0, 0, 200}, {"bytes=" + strings.Repeat("1-2,", 17), 0, 0, 200},
		{fmt.Sprintf("bytes=%d-", n), 0, 0, 416}, {"bytes=-0", 0, 0, 416}, {fmt.Sprintf("bytes=%d-%d", n+5, n+9), 0, 0, 416},
		{fmt.Sprintf("bytes=%d-, 4-5", n), 4, 6, 206},
	} {
		t.Run(c.header, func(t *testing.T) {
			resp, got := r.do(http.MethodGet, path, "", "Range", c.header)
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			want := content
			switch c.status {
			case 416:
				wantError(t, resp, got, 416, "invalid_request_error", "")
				if cr := resp.Header.Get("Content-Range"); cr != fmt.Sprintf("bytes */%d", n) {
					t.Errorf("Content-Range %q", cr)
				}
				return
			case 206:
				want = content[c.from:c.to]
				if cr := resp.Header.Get("Content-Range"); cr != fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, n) {
					t.Errorf("Content-Range %q", cr)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d", len(got), len(want))
			}
		})
	}
	// Several ranges.
	resp, got := r.do(http.MethodGet, path, "", "Range", fmt.Sprintf("bytes=0-9,%d-%d,-4", 1<<20-2, 1<<20+1))
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != 206 || err != nil {
		t.Fatalf("several ranges: %s %v", resp.Status, resp.Header)
	}
	m := multipart.NewReader(bytes.NewReader(got), params["boundary"])
	for _, want := range [][2]int{{0, 10}, {1<<20 - 2, 1<<20 + 2}, {n - 4, n}} {
		part, err := m.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		piece, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(piece, content[want[0]:want[1]]) || part.Header.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", want[0], want[1]-1, n) {
			t.Errorf("range %v: %d bytes, %v, %v", want, len(piece), part.Header, err)
		}
	}
	if _, err := m.NextPart(); err != io.EOF {
		t.Errorf("after the last range: %v", err)
	}
	// Conditions.
	for _, c := range []struct {
		status int
		header []string
	}{
		{304, []string{"If-None-Match", tag}}, {304, []string{"If-None-Match", `"x", W/` + tag}}, {200, []string{"If-None-Match", `"x"`}},
		{206, []string{"Range", "bytes=0-1", "If-Range", tag}}, {200, []string{"Range", "bytes=0-1", "If-Range", `"x"`}},
		{206, []string{"Range", "bytes=0-1", "If-Range", resp.Header.Get("Last-Modified")}},
	} {
		if resp, _ := r.do(http.MethodGet, path, "", c.header...); resp.StatusCode != c.status {
			t.Errorf("%v: status %d, want %d", c.header, resp.StatusCode, c.status)
		}
	}
}
