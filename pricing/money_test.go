package pricing

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestParseDollars(t *testing.T) {
	for text, want := range map[string]Picodollars{
		"0": 0, "-0": 0, "1": 1e12, "0.055": 55e9, "-0.000000000001": -1, "00.50": 5e11, "0.0000000000010000": 1,
		"9223372.036854775807": math.MaxInt64, "-9223372.036854775808": math.MinInt64,
	} {
		if got, err := ParseDollars(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "+1", "1e3", "0x1", "1,000", " 1", "1_0", "--1", "1.-5", "1.2.3", "٣", "0.0000000000001"} {
		if got, err := ParseDollars(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
	for _, text := range []string{"9223372.036854775808", "-9223372.036854775809", "99999999999999999999"} {
		if _, err := ParseDollars(text); !errors.Is(err, ErrOverflow) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{"5": 5_000_000, "0.003625": 3625, "0.000001": 1, "0": 0, "30.000000": 30_000_000} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
		if back, err := ParseRate(got.String()); err != nil || back != want {
			t.Errorf("%q: back from %q", text, got)
		}
	}
	for _, text := range []string{"", "-1", "0.0000001", "free", "NaN", "9223372036854.775808"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "0.055", "9223372.036854775807", ".", "1e9", "0.30000000000000004"} {
		f.Add(s, uint8(12))
	}
	f.Fuzz(func(t *testing.T, s string, d uint8) {
		decimals := int(d % 13)
		n, err := parseDecimal(s, decimals)
		if err != nil {
			return
		}
		exact, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q is taken as %d", s, n)
		}
		unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(decimals)), nil))
		if got := new(big.Rat).Mul(unit, new(big.Rat).SetInt64(n)); got.Cmp(exact) != 0 {
			t.Fatalf("%q is taken as %v", s, got)
		}
		if back, err := parseDecimal(formatDecimal(n, decimals), decimals); err != nil || back != n {
			t.Fatalf("%d is written as %q", n, formatDecimal(n, decimals))
		}
	})
}

func TestPlus(t *testing.T) {
	for _, tt := range []struct {
		a, b, want Picodollars
		overflows  bool
	}{
		{1, 2, 3, false}, {-1, 1, 0, false}, {0, 0, 0, false}, {math.MaxInt64, 0, math.MaxInt64, false},
		{math.MaxInt64, math.MinInt64, -1, false}, {math.MaxInt64, 1, 0, true}, {math.MinInt64, -1, 0, true}, {math.MinInt64, math.MinInt64, 0, true},
	} {
		if got, err := tt.a.Plus(tt.b); got != tt.want || errors.Is(err, ErrOverflow) != tt.overflows {
			t.Errorf("%d + %d: %d, %v", tt.a, tt.b, got, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		rate      Rate
		n         int64
		want      Picodollars
		overflows bool
	}{
		{5_000_000, 2000, 10_000_000_000, false}, {30_000_000, 0, 0, false}, {1, math.MaxInt64, math.MaxInt64, false},
		{2, math.MaxInt64, 0, true}, {math.MaxInt64, math.MaxInt64, 0, true}, {5, -1, 0, true}, {unstated, 1, 0, true},
	} {
		if got, err := tt.rate.Times(tt.n); got != tt.want || errors.Is(err, ErrOverflow) != tt.overflows {
			t.Errorf("%d × %d: %d, %v", tt.rate, tt.n, got, err)
		}
	}
}

// Stretch is what big integers say it is, and its parts add up to the whole.
func TestStretch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		bill := Picodollars(r.Int64() >> r.IntN(63))
		g := 1 + r.Int64()>>r.IntN(63)
		a, b := r.Int64N(g), r.Int64N(g)
		a, b = min(a, b), max(a, b)
		floor := func(n int64) int64 {
			x := new(big.Int).Mul(big.NewInt(int64(bill)), big.NewInt(n))
			return x.Div(x, big.NewInt(g)).Int64()
		}
		if got, want := Stretch(bill, a, b, g), floor(b)-floor(a); int64(got) != want {
			t.Fatalf("[%d, %d) of %d for %d: %d, want %d", a, b, g, bill, got, want)
		}
		if sum := Stretch(bill, 0, a, g) + Stretch(bill, a, b, g) + Stretch(bill, b, g, g); sum != bill {
			t.Fatalf("the parts of %d are %d", bill, sum)
		}
		if got := Stretch(-bill, a, b, g); got != -Stretch(bill, a, b, g) {
			t.Fatalf("[%d, %d) of %d for %d: %d, and %d of the negated", a, b, g, bill, Stretch(bill, a, b, g), got)
		}
	}
	for _, tt := range []struct {
		bill    Picodollars
		a, b, g int64
		want    Picodollars
	}{
		{45e9, 0, 600, 1500, 18e9}, {30_360e6, 600, 1000, 1012, 12e9}, {1000, 0, 1, 3, 333}, {1000, 1, 2, 3, 333}, {1000, 2, 3, 3, 334},
		{100, 0, 0, 0, 0}, {100, 0, 10, 0, 0}, {100, 0, 10, -1, 0}, {100, -5, 10, 10, 100}, {100, 5, 20, 10, 50}, {100, 20, 30, 10, 0},
		{math.MaxInt64, 0, math.MaxInt64, math.MaxInt64, math.MaxInt64}, {math.MinInt64, 0, 7, 7, math.MinInt64},
	} {
		if got := Stretch(tt.bill, tt.a, tt.b, tt.g); got != tt.want {
			t.Errorf("[%d, %d) of %d for %d: %d, want %d", tt.a, tt.b, tt.g, tt.bill, got, tt.want)
		}
	}
}

func TestSum(t *testing.T) {
	exact := func(s Sum) *big.Int {
		x := new(big.Int).Mul(big.NewInt(s.dollars), big.NewInt(picosPerDollar))
		return x.Add(x, big.NewInt(s.picos))
	}
	r := rand.New(rand.NewPCG(3, 4))
	var sum Sum
	want := new(big.Int)
	for i := range 5000 {
		p := Picodollars(r.Uint64()) >> r.IntN(64)
		if i%500 < 100 {
			p = math.MaxInt64 - Picodollars(i)
		}
		sum = sum.Add(p)
		want.Add(want, big.NewInt(int64(p)))
		if exact(sum).Cmp(want) != 0 {
			t.Fatalf("sum %v, want %v picodollars", sum, want)
		}
		if sum.Sign() != want.Sign() {
			t.Fatalf("%v has the sign %d", sum, sum.Sign())
		}
		data, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		var back Sum
		if err := json.Unmarshal(data, &back); err != nil || back != sum {
			t.Fatalf("%s is read as %v, %v", data, back, err)
		}
		if sum.Plus(back).Minus(back) != sum || sum.Minus(sum) != (Sum{}) {
			t.Fatalf("%v plus and minus itself is something else", sum)
		}
		amount, err := sum.Picodollars()
		if fits := want.IsInt64(); fits != (err == nil) || fits && int64(amount) != want.Int64() || !fits && !errors.Is(err, ErrOverflow) {
			t.Fatalf("%v as one amount: %d, %v", sum, amount, err)
		}
		nearest, _ := new(big.Rat).SetFrac(want, big.NewInt(picosPerDollar)).Float64()
		if got := sum.Dollars(); math.Abs(got-nearest) > math.Abs(nearest)*1e-15 {
			t.Fatalf("%v is %v as a float, want %v", sum, got, nearest)
		}
	}
}

func TestSumText(t *testing.T) {
	for _, tt := range []struct {
		sum  Sum
		want string
	}{
		{Sum{}, "0"}, {Sum{}.Add(1), "0.000000000001"}, {Sum{}.Add(-1), "-0.000000000001"}, {Sum{}.Add(-15e11), "-1.5"},
		{Sum{}.Add(math.MaxInt64).Add(math.MaxInt64), "18446744.073709551614"}, {Sum{}.Add(math.MinInt64), "-9223372.036854775808"},
	} {
		if got := tt.sum.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	for _, bad := range []string{"", "-", "1.", ".1", "1.-2", "1.2.3", "0.0000000000001", "x"} {
		if err := new(Sum).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is read as a sum", bad)
		}
	}
}

func TestMoneyJSON(t *testing.T) {
	type money struct {
		P Picodollars `json:"p"`
		R Rate        `json:"r"`
		U Rate        `json:"u"`
		S Sum         `json:"s"`
	}
	in := money{-55e9, 75_000, unstated, Sum{}.Add(7)}
	data, err := json.Marshal(in)
	if want := `{"p":"-0.055","r":"0.075","u":"","s":"0.000000000007"}`; err != nil || string(data) != want {
		t.Fatalf("%s, %v", data, err)
	}
	var out money
	if err := json.Unmarshal(data, &out); err != nil || out != in {
		t.Errorf("%+v, %v", out, err)
	}
	if got := in.P.Dollars(); got != -0.055 {
		t.Errorf("as a float: %v", got)
	}
}
