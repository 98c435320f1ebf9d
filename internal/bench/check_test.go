package bench

import (
	"errors"
	"fmt"
	"testing"
)

// pieces cuts p into pieces of n bytes.
func feedAll(c *check, p []byte, n int) (events int, err error) {
	for len(p) > 0 {
		k, err := c.feed(p[:min(n, len(p))])
		if events += k; err != nil {
			return events, err
		}
		p = p[min(n, len(p)):]
	}
	return events, c.whole()
}

const (
	plainBody   = "data: {\"a\":1}\n\ndata: {\"a\":2}\n\n: note\n\ndata: [DONE]\n\n"
	stampedBody = "data: {\"a\":1,\"sim_ns\":1790000000000000001}\n\ndata: {\"a\":2,\"sim_ns\":1790000000000000002}\n\n: note\n\ndata: [DONE]\n\n"
)

func TestCheckTakesTheRightBytesInAnyPieces(t *testing.T) {
	for n := 1; n <= len(stampedBody); n++ {
		var stamps []int64
		for _, c := range []*check{
			{want: []byte(plainBody)},
			{want: []byte(plainBody), stamped: true, stamp: func(sent int64) { stamps = append(stamps, sent) }},
		} {
			body := plainBody
			if c.stamped {
				body = stampedBody
			}
			if events, err := feedAll(c, []byte(body), n); err != nil || events != 4 {
				t.Fatalf("pieces of %d, stamped %t: %d events, %v", n, c.stamped, events, err)
			}
		}
		if fmt.Sprint(stamps) != "[1790000000000000001 1790000000000000002]" {
			t.Fatalf("pieces of %d: stamps %v", n, stamps)
		}
	}
}

func TestCheckFindsEveryFlippedByte(t *testing.T) {
	for _, stamped := range []bool{false, true} {
		body := plainBody
		if stamped {
			body = stampedBody
		}
		for i := range body {
			wrong := []byte(body)
			wrong[i] ^= 1
			if isStamp := stamped && body[i] >= '0' && body[i] <= '9' && wrong[i] >= '0' && wrong[i] <= '9' && i > 20; isStamp && inStamp(i) {
				continue // another time is no wrong byte
			}
			c := &check{want: []byte(plainBody), stamped: stamped}
			if _, err := feedAll(c, wrong, 7); !errors.Is(err, ErrDiffers) {
				t.Errorf("stamped %t, byte %d flipped: %v, want ErrDiffers", stamped, i, err)
			}
		}
	}
}

// inStamp reports whether byte i of stampedBody is a digit of a stamp.
func inStamp(i int) bool {
	j := i
	for j > 0 && stampedBody[j-1] >= '0' && stampedBody[j-1] <= '9' {
		j--
	}
	return j > 0 && stampedBody[j-1] == ':' && i-j < 19 && j+19 <= len(stampedBody) && stampedBody[j+19] == '}'
}

func TestCheckFindsWhatIsMissingAndWhatIsTooMuch(t *testing.T) {
	for _, body := range []string{plainBody[:len(plainBody)-1], plainBody + "x", plainBody + plainBody, ""} {
		c := &check{want: []byte(plainBody)}
		if _, err := feedAll(c, []byte(body), 1000); !errors.Is(err, ErrDiffers) {
			t.Errorf("%q: %v, want ErrDiffers", body, err)
		}
	}
}
