package protocol

// Page is a part of a list, in the envelope that every list of the API has.
type Page struct {
	Items   [][]byte // JSON objects
	FirstID string   // of the first item
	LastID  string   // of the last one; a client asks for what comes after it
	HasMore bool     // there are items after the last one
}

// AppendPage appends p. An empty page has no first and no last id.
func AppendPage(dst []byte, p Page) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, item := range p.Items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, item...)
	}
	dst = append(dst, `],"first_id":`...)
	dst = appendTextOrNull(dst, p.FirstID)
	dst = append(dst, `,"last_id":`...)
	dst = appendTextOrNull(dst, p.LastID)
	if p.HasMore {
		return append(dst, `,"has_more":true}`...)
	}
	return append(dst, `,"has_more":false}`...)
}
