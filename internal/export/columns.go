package export

import (
	"fmt"
	"strings"
	"time"

	"github.com/recoup-gateway/recoup/internal/ledger"
	"github.com/recoup-gateway/recoup/pricing"
)

// FOCUS's words.
const (
	currency           = "USD"
	categoryUsage      = "Usage"
	categoryAdjustment = "Adjustment"
	classCorrection    = "Correction"
	frequencyUsage     = "Usage-Based"
	pricedStandard     = "Standard"
	serviceCategory    = "AI and Machine Learning"
	resourceAttempt    = "Attempt"
	resourceStream     = "Stream"
	unitTokens         = "Tokens"
	unitUses           = "Uses"
	unitMillion        = "1000000 Tokens"
)

// postingColumns are the table of postings: FOCUS's columns first.
var postingColumns = []column[*posting]{
	{"BilledCost", func(p *posting) cell { return moneyCell(p.amount) }},
	{"EffectiveCost", func(p *posting) cell { return moneyCell(p.amount) }},
	{"ContractedCost", func(p *posting) cell { return moneyCell(p.amount) }},
	{"ListCost", func(p *posting) cell {
		if p.listed {
			return moneyCell(p.list)
		}
		return moneyCell(p.amount) // FOCUS: where there is no list price it is the cost
	}},
	{"BillingCurrency", func(*posting) cell { return textCell(currency) }},
	{"BillingPeriodStart", func(p *posting) cell { return timeCell(month(p.row.At, 0)) }},
	{"BillingPeriodEnd", func(p *posting) cell { return timeCell(month(p.row.At, 1)) }},
	{"ChargePeriodStart", func(p *posting) cell { return timeCell(p.row.At) }},
	{"ChargePeriodEnd", func(p *posting) cell { return timeCell(end(p.row.Attempt)) }},
	{"ChargeCategory", func(*posting) cell { return textCell(categoryUsage) }},
	{"ChargeClass", func(p *posting) cell {
		if p.entry == entryReversal || p.revision.Number > 0 {
			return textCell(classCorrection)
		}
		return textCell("")
	}},
	{"ChargeDescription", func(p *posting) cell { return textCell(p.description()) }},
	{"ChargeFrequency", func(*posting) cell { return textCell(frequencyUsage) }},
	{"ConsumedQuantity", func(p *posting) cell { return countCell(p.tokens) }},
	{"ConsumedUnit", func(p *posting) cell {
		if p.kind.IsTool() {
			return textCell(unitUses)
		}
		return textCell(unitTokens)
	}},
	{"PricingQuantity", func(p *posting) cell {
		if p.kind.IsTool() {
			return decimalCell(fmt.Sprint(p.tokens))
		}
		return decimalCell(millions(p.tokens))
	}},
	{"PricingUnit", func(p *posting) cell {
		if p.kind.IsTool() {
			return textCell(unitUses)
		}
		return textCell(unitMillion)
	}},
	{"PricingCategory", func(*posting) cell { return textCell(pricedStandard) }},
	{"ListUnitPrice", func(p *posting) cell { return p.unitPrice(p.listRate) }},
	{"ContractedUnitPrice", func(p *posting) cell { return p.unitPrice(p.rate) }},
	{"ProviderName", func(p *posting) cell { return textCell(p.row.Provider) }},
	{"PublisherName", func(p *posting) cell { return textCell(firstOf(p.rates.Provider, p.row.Provider)) }},
	{"InvoiceIssuerName", func(p *posting) cell { return textCell(p.row.Provider) }},
	{"ServiceCategory", func(*posting) cell { return textCell(serviceCategory) }},
	{"ServiceName", func(p *posting) cell { return textCell(p.row.Provider + " API") }},
	{"SkuId", func(p *posting) cell { return textCell(p.row.Provider + "/" + p.row.Model) }},
	{"SkuPriceId", func(p *posting) cell {
		return textCell(strings.Join([]string{p.row.Provider, p.row.Model, firstOf(string(p.rates.Tier), "unpriced"), string(p.kind)}, "/"))
	}},
	{"ResourceId", func(p *posting) cell { return textCell(p.row.ID().String()) }},
	{"ResourceType", func(*posting) cell { return textCell(resourceAttempt) }},
	{"Tags", func(p *posting) cell { return tagsCell(p.row.Tags) }},

	{"x_Schema", func(*posting) cell { return textCell(PostingsSchema) }},
	{"x_StreamId", func(p *posting) cell { return idCell(p.row.Stream) }},
	{"x_Attempt", func(p *posting) cell { return countCell(int64(p.row.Number)) }},
	{"x_Revision", func(p *posting) cell { return countCell(int64(p.revision.Number)) }},
	{"x_Entry", func(p *posting) cell { return textCell(p.entry) }},
	{"x_Reason", func(p *posting) cell { return textCell(p.reason) }},
	{"x_Posted", func(p *posting) cell { return timeCell(p.posted) }},
	{"x_Kind", func(p *posting) cell { return textCell(string(p.kind)) }},
	{"x_Outcome", func(p *posting) cell { return textCell(p.outcome) }},
	{"x_Cause", func(p *posting) cell { return textCell(p.cause) }},
	{"x_Basis", func(p *posting) cell { return textCell(string(p.basis)) }},
	{"x_PriceVariance", func(p *posting) cell { return moneyCell(p.variance) }},
	{"x_PriceVersion", func(p *posting) cell { return textCell(p.revision.Bill.PriceVersion) }},
	{"x_PriceStatus", func(p *posting) cell { return textCell(string(p.rates.Status)) }},
	{"x_Tier", func(p *posting) cell { return textCell(string(p.rates.Tier)) }},
	{"x_Unpriced", func(p *posting) cell { return textCell(p.revision.Bill.Unpriced) }},
	{"x_Model", func(p *posting) cell { return textCell(p.row.Model) }},
	{"x_AskedModel", func(p *posting) cell { return textCell(p.row.AskedModel) }},
	{"x_ServiceTier", func(p *posting) cell { return textCell(p.row.ServiceTier) }},
	{"x_Endpoint", func(p *posting) cell { return textCell(p.row.Endpoint) }},
	{"x_Streamed", func(p *posting) cell { return boolCell(p.row.Streamed) }},
	{"x_Principal", func(p *posting) cell { return idCell(p.row.Principal) }},
	{"x_RequestId", func(p *posting) cell { return textCell(p.row.RequestID) }},
	{"x_ResponseId", func(p *posting) cell { return textCell(p.row.ResponseID) }},
}

// description says in words what a row is.
func (p *posting) description() string {
	what := fmt.Sprintf("%s of %s, %s", p.kind, p.row.Model, p.outcome)
	if p.cause != "" {
		what += " (" + p.cause + ")"
	}
	switch {
	case p.entry == entryReversal:
		what = "Reversal of " + what + ": " + p.reason
	case p.reason != "":
		what += ": " + p.reason
	}
	return what
}

// unitPrice is dollars per million tokens, or per use.
func (p *posting) unitPrice(rate pricing.Rate) cell {
	switch {
	case rate == noRate:
		return decimalCell("")
	case p.kind.IsTool():
		return moneyCell(pricing.Picodollars(rate))
	}
	return decimalCell(rate.String())
}

// millions is a number of tokens in millions, exactly.
func millions(n int64) string { return pricing.Picodollars(n * 1_000_000).String() }

// month is the first moment of a time's month, or of one after it.
func month(t time.Time, after int) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month()+time.Month(after), 1, 0, 0, 0, 0, time.UTC)
}

// end is when an attempt ended, or if that isn't known, when it began.
func end(a ledger.Attempt) time.Time {
	if a.Ended.IsZero() {
		return a.At
	}
	return a.Ended
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
