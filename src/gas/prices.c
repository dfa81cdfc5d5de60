/* prices: prices.yaml by one table of options, like a recipe. See prices.h. */
#include "gas/prices.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/prices_carbon.h"

extern const char prices_builtin[]; /* made from prices.yaml */

#define MONEY(name, field, help) OPT_FLOAT(name, struct prices, field, NULL, 0, 1e12, help)
#define SOURCE(name, field, help) OPT_STRING(name, struct prices, field, NULL, "TEXT", help)

/* The keys of prices.yaml: names, ranges, what they mean. */
static const struct opt prices_opts[] = {
	OPT_STRING("currency", struct prices, currency, NULL, "CODE", "of every figure here, ISO 4217"),
	MONEY("electricity", electricity, "a kWh"),
	SOURCE("electricity-source", electricity_source, "where from, of when"),
	OPT_FLOAT("pue", struct prices, pue, "1", 1, 10, "the building's power over the computers'"),
	MONEY("machine-rent", machine_rent, "an hour (OPEX)"),
	MONEY("machine-price", machine_price, "when bought (CAPEX)"),
	OPT_FLOAT("machine-years", struct prices, machine_years, "4", 0.1, 50, "of its life"),
	OPT_FLOAT("machine-utilization", struct prices, machine_utilization, "1", 0.001, 1,
	          "share of those hours in which it works"),
	SOURCE("machine-source", machine_source, "where from, of when"),
	MONEY("people", people, "an hour of a person's work"),
	SOURCE("people-source", people_source, "where from, of when"),
	MONEY("api-tokens-in", api_tokens_in, "a million tokens of prompt, of an API to compare with"),
	MONEY("api-tokens-out", api_tokens_out, "a million tokens of answer"),
	SOURCE("api-source", api_source, "where from, of when"),
	OPT_STRING("region", struct prices, region, NULL, "CODE",
	           "of the grid: a country's three letters (ISO 3166), or WORLD"),
	OPT_FLOAT("carbon-intensity", struct prices, carbon_intensity, NULL, 0, 2000,
	          "g of CO2 equivalent a kWh, over the region's"),
	SOURCE("carbon-source", carbon_source, "where from, of when"),
	OPT_LIST("exchange", struct prices, exchange, "CODE=X", "what one of another currency costs in ours"),
	OPT_END
};

/* --- loading --- */

static bool is_code(const char *text)
{
	return text && strlen(text) == 3 && isupper((unsigned char)text[0]) && isupper((unsigned char)text[1]) &&
	       isupper((unsigned char)text[2]);
}

static const struct region *find_region(const char *code)
{
	const struct region *r = regions;
	while (r->code && (!code || strcmp(r->code, code)))
		r++;
	return r->code ? r : NULL;
}

static int check(const struct prices *p, const char *where, struct err *e)
{
	if (!is_code(p->currency))
		return err_set(e, "%s: currency: three capital letters were wanted, as EUR, found %s", where,
		               p->currency ? p->currency : "nothing");
	if (isnan(p->carbon_intensity) && p->region && !find_region(p->region))
		return err_set(
			e,
			"%s: region %s is not known: a country's three letters (ISO 3166 alpha-3) or WORLD was wanted",
			where, p->region);
	for (size_t i = 0; i < p->exchange.n; i++) {
		const char *is = strchr(p->exchange.items[i], '=');
		char *end = NULL, code[4] = "";
		if (is - p->exchange.items[i] == 3)
			memcpy(code, p->exchange.items[i], 3);
		if (!is_code(code) || !(strtod(is + 1, &end) > 0) || *end)
			return err_set(e, "%s: exchange %s: as USD=0.92 was wanted", where, p->exchange.items[i]);
	}
	return 0;
}

int prices_load(struct prices *p, const char *path, struct err *e)
{
	static const char *const neutral[][2] = { { "pue", "1" }, { "region", "WORLD" } };

	*p = (struct prices){ 0 };
	if (opt_begin(&p->parse, prices_opts, p, e) < 0)
		return -1;
	int status = path ? opt_yaml(&p->parse, path, e) : 0;
	bool foreign = p->currency && strcmp(p->currency, "EUR"); /* then the built-in sums of money mean nothing */
	for (size_t i = 0; i < ARRAY_LEN(neutral) && foreign && !status; i++)
		if (!opt_given(&p->parse, neutral[i][0]))
			status = opt_assign(&p->parse, neutral[i][0], neutral[i][1], e);
	if (!status && !foreign)
		status =
			opt_yaml_text(&p->parse, prices_builtin, strlen(prices_builtin), "the built-in prices.yaml", e);
	if (!status)
		status = check(p, path ? path : "prices", e);
	if (status)
		prices_release(p);
	return status;
}

void prices_release(struct prices *p)
{
	opt_release(&p->parse);
	*p = (struct prices){ 0 };
}

/* --- using --- */

double prices_carbon(const struct prices *p, const char **source)
{
	const struct region *r = find_region(p->region);

	*source = p->carbon_source;
	if (!isnan(p->carbon_intensity))
		return p->carbon_intensity;
	*source = r ? regions_source : NULL;
	return r ? r->grams : NAN;
}

static double capex_hour(const struct prices *p)
{
	return p->machine_price / (p->machine_years * 8766 * p->machine_utilization);
}

int prices_convert(const struct prices *p, double amount, const char *currency, double *out, struct err *e)
{
	*out = amount;
	if (!strcmp(currency, p->currency))
		return 0;
	for (size_t i = 0; i < p->exchange.n; i++) {
		if (strncmp(p->exchange.items[i], currency, 3))
			continue;
		*out = amount * strtod(p->exchange.items[i] + 4, NULL);
		return 0;
	}
	return err_set(e, "prices are in %s and say nothing of %s: add it to prices.yaml, as exchange: [%s=1.1]",
	               p->currency, currency, currency);
}

static void add_known(struct money *m, double part, double low, double high)
{
	if (isnan(part))
		return;
	m->total = (isnan(m->total) ? 0 : m->total) + part;
	m->low = (isnan(m->low) ? 0 : m->low) + low;
	m->high = (isnan(m->high) ? 0 : m->high) + high;
}

void prices_cost(const struct prices *p, double joules, double low, double high, double seconds, double human_seconds,
                 struct money *m)
{
	double kwh = p->electricity * p->pue / 3.6e6;

	*m = (struct money){ .total = NAN, .low = NAN, .high = NAN };
	memcpy(m->currency, p->currency, 3);
	m->electricity = joules * kwh;
	m->rent = seconds / 3600 * p->machine_rent;
	m->capex = isnan(p->machine_rent) ? seconds / 3600 * capex_hour(p) : NAN;
	m->people = human_seconds / 3600 * p->people;
	add_known(m, m->electricity, low * kwh, high * kwh);
	add_known(m, m->rent, m->rent, m->rent);
	add_known(m, m->capex, m->capex, m->capex);
	add_known(m, m->people, m->people, m->people);
}

/* --- saying --- */

unsigned money_parts(const struct money *m)
{
	return (isnan(m->electricity) ? 0 : MONEY_ELECTRICITY) | (isnan(m->rent) ? 0 : MONEY_RENT) |
	       (isnan(m->capex) ? 0 : MONEY_MACHINE) | (isnan(m->people) ? 0 : MONEY_PEOPLE);
}

static int put_names(char *out, size_t size, unsigned parts)
{
	static const char *const names[] = { "electricity", "rent", "the machine", "people" };
	int n = 0;

	out[0] = 0;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (parts >> i & 1)
			n += snprintf(out + n, size - (size_t)n, "%s%s", !n ? "" : parts >> i > 1 ? ", " : " and ",
			              names[i]);
	return n;
}

const char *money_parts_text(unsigned any, unsigned all, char out[120])
{
	char some[60];
	int n = put_names(out, 60, any & all);

	if (put_names(some, sizeof(some), any & ~all))
		snprintf(out + n, 120 - (size_t)n, n ? " (%s of some runs only)" : "%s of some runs only", some);
	return out;
}

const char *money_text(double amount, const char *currency, unsigned any, unsigned all, char out[200])
{
	char sum[48], parts[120];

	human_money(amount, currency, sum);
	money_parts_text(any, all, parts);
	snprintf(out, 200, "%s%s%s", sum, parts[0] ? " of " : "", parts);
	return out;
}
