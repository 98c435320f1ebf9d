package dialect

// Filtered tells whether the body of an error of OpenAI's dialect says that the provider's filter refused the
// prompt. Azure bills that: the prompt was read.
func Filtered(body []byte) bool {
	return newObject(body).object("error").text("code") == "content_filter"
}
