package anthropic

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// place is where in the request a content part stands, for errors.
type place struct{ message, part int }

func (p place) field(name string) string {
	return fmt.Sprintf("messages[%d].content[%d]%s", p.message, p.part, name)
}

// blocks maps the content of message i. Blank text is left out: the API refuses
// blocks of it.
func (c *content) blocks(i int) ([]block, error) {
	if c.parts == nil {
		if strings.TrimSpace(c.text) == "" {
			return nil, nil
		}
		return []block{{Type: "text", Text: c.text}}, nil
	}
	out := make([]block, 0, len(c.parts))
	for j := range c.parts {
		b, err := c.parts[j].block(place{i, j})
		if err != nil {
			return nil, err
		}
		if b.Type == "text" && strings.TrimSpace(b.Text) == "" {
			continue
		}
		b.CacheControl = c.parts[j].breakpoint()
		out = append(out, b)
	}
	return out, nil
}

func (p *part) block(at place) (block, error) {
	switch p.Type {
	case "text":
		return block{Type: "text", Text: p.Text}, nil
	case "refusal":
		return block{Type: "text", Text: p.Refusal}, nil
	case "image_url":
		return imageBlock(p.ImageURL.URL, at)
	case "file":
		return fileBlock(&p.File, at)
	case "input_audio":
		return block{}, refuse(at.field(".input_audio"), "unsupported_value",
			"Audio input is not supported by this model. Send a transcript as a text part instead.")
	default:
		return block{}, refuse(at.field(".type"), "unsupported_value",
			"Content parts of type '%s' are not supported by this model. Use text, image_url or file.", brief(p.Type))
	}
}

// breakpoint returns the cache_control of a part that ends a cached prefix.
func (p *part) breakpoint() jsontext.Value {
	switch {
	case p.CacheControl.Kind() == '{':
		return p.CacheControl
	case p.CacheBreakpoint.Kind() == '{':
		return jsontext.Value(`{"type":"ephemeral"}`)
	}
	return nil
}

func imageBlock(url string, at place) (block, error) {
	param := at.field(".image_url.url")
	if isWeb(url) {
		return block{Type: "image", Source: &source{Type: "url", URL: url}}, nil
	}
	media, data, ok := dataURL(url)
	if !ok {
		return block{}, refuse(param, "invalid_value",
			"Invalid '%s': expected an http(s) URL or a base64 data URL such as data:image/png;base64,...", param)
	}
	switch media {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return block{Type: "image", Source: &source{Type: "base64", MediaType: media, Data: data}}, nil
	case "application/pdf":
		return block{Type: "document", Source: &source{Type: "base64", MediaType: media, Data: data}}, nil
	}
	return block{}, refuse(param, "unsupported_value",
		"Images of type '%s' are not supported by this model. Convert the image to JPEG, PNG, GIF or WebP.", brief(media))
}

func fileBlock(f *file, at place) (block, error) {
	if f.Data == "" && f.ID != "" {
		return block{}, refuse(at.field(".file.file_id"), "unsupported_value",
			"File ids are not supported by this model. Send the content as 'file_data' (a base64 data URL) instead.")
	}
	param := at.field(".file.file_data")
	if isWeb(f.Data) {
		return block{Type: "document", Source: &source{Type: "url", URL: f.Data}, Title: f.Name}, nil
	}
	media, data, ok := dataURL(f.Data)
	if !ok && strings.HasPrefix(f.Data, "JVBERi") { // bare base64 of "%PDF-"
		media, data, ok = "application/pdf", f.Data, true
	}
	switch {
	case !ok:
	case media == "application/pdf":
		return block{Type: "document", Source: &source{Type: "base64", MediaType: media, Data: data}, Title: f.Name}, nil
	case strings.HasPrefix(media, "image/"):
		b, err := imageBlock(f.Data, at)
		if err != nil {
			return block{}, refuse(param, "unsupported_value",
				"Images of type '%s' are not supported by this model. Convert the image to JPEG, PNG, GIF or WebP.", brief(media))
		}
		return b, nil
	case strings.HasPrefix(media, "text/"):
		if text, err := base64.StdEncoding.DecodeString(data); err == nil && len(text) > 0 {
			s := &source{Type: "text", MediaType: "text/plain", Data: strings.ToValidUTF8(string(text), "\ufffd")}
			return block{Type: "document", Source: s, Title: f.Name}, nil
		}
	}
	return block{}, refuse(param, "unsupported_value",
		"This model takes PDF files, text files and images, each as a base64 data URL such as data:application/pdf;base64,... in '%s'.", param)
}

func isWeb(url string) bool {
	scheme, rest, ok := strings.Cut(url, "://")
	return ok && rest != "" && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// dataURL splits a base64 data URL. ok is false for any other string.
func dataURL(url string) (media, data string, ok bool) {
	if len(url) < 5 || !strings.EqualFold(url[:5], "data:") {
		return "", "", false
	}
	head, data, ok := strings.Cut(url[5:], ",")
	if !ok || data == "" {
		return "", "", false
	}
	head, ok = strings.CutSuffix(strings.ToLower(head), ";base64")
	media, _, _ = strings.Cut(head, ";")
	media = strings.TrimSpace(media)
	if media == "image/jpg" {
		media = "image/jpeg"
	}
	return media, data, ok
}

// brief keeps what a client sent from filling an error message.
func brief(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 64)], "\ufffd")
}
