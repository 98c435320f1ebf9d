package grafana

import (
	"net/url"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Uids of the dashboards, which are the names of their files too.
const (
	uidMoney    = "recoup-tokens-and-money"
	uidIncident = "recoup-incident"
	uidGateway  = "recoup-gateway"
)

type valueMapping = dashboard.ValueMapping

// dataLink is a link from a value of a panel.
type dataLink = dashboard.DashboardLink

// drills are the links of most panels of money.
func drills() []dataLink { return []dataLink{drill("What happened", uidIncident)} }

// others are the links at the top of a dashboard to the rest of the set.
func others(uid string) []dashboard.DashboardLink {
	var all []dashboard.DashboardLink
	for _, to := range []struct{ uid, title, tooltip string }{
		{uidMoney, "Tokens and money", "What became of the tokens, and what it cost"},
		{uidIncident, "Incident", "Breaks, resumes, providers: what is going wrong"},
		{uidGateway, "Gateway", "Log, ledger and process"},
	} {
		if to.uid == uid {
			continue
		}
		l := link(to.title, "/d/"+to.uid)
		l.Icon, l.Tooltip, l.IncludeVars, l.KeepTime = "dashboard", to.tooltip, true, true
		all = append(all, l)
	}
	return all
}

// drill is a link from a value to a dashboard, with the same range and gateways.
// More variables than those are given as name=value.
func drill(title, uid string, vars ...string) dataLink {
	to := "/d/" + uid + "?${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
	if len(vars) == 0 {
		to += "&${provider:queryparam}&${model:queryparam}"
	}
	for _, v := range vars {
		to += "&var-" + v
	}
	return link(title, to)
}

// traces is a link to a search in the store of traces. It has the form of Explore's
// address that Grafana 9 writes and later versions still read.
func traces(title, traceQL string) dataLink {
	state := `{"datasource":"${tempo}","queries":[{"refId":"A","datasource":{"type":"tempo","uid":"${tempo}"},"queryType":"traceql","limit":20,"query":` +
		quote(traceQL) + `}],"range":{"from":"${__from}","to":"${__to}"}}`
	l := link(title, "/explore?left="+escape(state))
	l.TargetBlank = true
	return l
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// escape is for a query of an address, but leaves variables for Grafana.
func escape(s string) string {
	s = url.QueryEscape(s)
	return strings.NewReplacer("+", "%20", "%24%7B", "${", "%7D%22", "}%22").Replace(s)
}

func link(title, to string) dashboard.DashboardLink {
	return dashboard.DashboardLink{Title: title, Type: dashboard.DashboardLinkTypeLink, Url: &to, Tags: []string{}}
}
