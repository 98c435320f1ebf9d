package report

import (
	"math/big"

	"github.com/recoup-gateway/recoup/pricing"
)

// share is a part of a whole with four decimals; "" where there is no whole.
func share(part, whole pricing.Sum) string {
	if whole.Sign() <= 0 {
		return ""
	}
	x, ok := new(big.Rat).SetString(part.String())
	y, ok2 := new(big.Rat).SetString(whole.String())
	if !ok || !ok2 {
		return ""
	}
	return x.Quo(x, y).FloatString(4)
}
