package protocol

import "strconv"

// Model is an entry of the model list.
type Model struct {
	ID      string
	Created int64 // unix seconds
	OwnedBy string
}

// AppendModel appends m as the API's model object.
func AppendModel(dst []byte, m Model) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendErrorText(dst, m.ID)
	dst = append(dst, `,"object":"model","created":`...)
	dst = strconv.AppendInt(dst, m.Created, 10)
	dst = append(dst, `,"owned_by":`...)
	dst = appendErrorText(dst, m.OwnedBy)
	return append(dst, '}')
}

// AppendModelList appends models, in their order, as the API's list object.
func AppendModelList(dst []byte, models []Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendModel(dst, m)
	}
	return append(dst, "]}"...)
}
