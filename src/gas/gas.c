/* gas: what something cost as JSON and as text, a plan's cost, and limits. See meter.h. */
#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/meter.h"

void gas_predict(const struct energy *e, const struct prices *p, const struct energy_load *load,
                 const struct energy_total *learnt, struct gas *g)
{
	const char *source;

	gas_none(g);
	g->seconds = load->seconds;
	g->cpu_seconds = load->cpu_seconds;
	if (learnt)
		g->energy = *learnt;
	else if (e)
		energy_model(e, load, &g->energy);
	if (!p)
		return;
	prices_cost(p, g->energy.joules, g->energy.low, g->energy.high, load->seconds, NAN, &g->money);
	double grams = prices_carbon(p, &source) * p->pue / 3.6e6;
	g->grams_co2 = g->energy.joules * grams;
	g->grams_co2_low = g->energy.low * grams;
	g->grams_co2_high = g->energy.high * grams;
}

void gas_share(struct gas *g, double share)
{
	double *parts[] = { &g->cpu_seconds,   &g->energy.joules,   &g->energy.low,        &g->energy.high,
		            &g->energy.idle,   &g->energy.marginal, &g->energy.share,      &g->money.total,
		            &g->money.low,     &g->money.high,      &g->money.electricity, &g->money.rent,
		            &g->money.people,  &g->money.capex,     &g->grams_co2,         &g->grams_co2_low,
		            &g->grams_co2_high };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		*parts[i] *= share;
}

/* --- out --- */

static void put_new(json_t *j, const char *key, json_t *value)
{
	if (json_object_get(j, key))
		json_decref(value);
	else
		json_object_set_new(j, key, value);
}

static json_t *text_or_null(const char *text) { return *text ? json_string(text) : json_null(); }

static json_t *count_or_null(int64_t n) { return n < 0 ? json_null() : json_integer(n); }

json_t *gas_request_json(const struct gas *g)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seconds", jsonx_number(g->seconds),
	                 "cpu_seconds", jsonx_number(g->cpu_seconds), "tokens_in", count_or_null(g->tokens_in),
	                 "tokens_out", count_or_null(g->tokens_out), "flops", jsonx_number(g->flops), "int_ops",
	                 jsonx_number(g->int_ops), "joules", jsonx_number(g->energy.joules), "joules_low",
	                 jsonx_number(g->energy.low), "joules_high", jsonx_number(g->energy.high), "money",
	                 jsonx_number(g->money.total));
}

void gas_json(json_t *j, const struct gas *g)
{
	unsigned parts = isnan(g->money.total) ? 0 : money_parts(&g->money);
	char is[120];

	put_new(j, "cpu_seconds", jsonx_number(g->cpu_seconds));
	put_new(j, "flops", jsonx_number(g->flops));
	put_new(j, "int_ops", jsonx_number(g->int_ops));
	put_new(j, "joules", jsonx_number(g->energy.joules));
	put_new(j, "joules_low", jsonx_number(g->energy.low));
	put_new(j, "joules_high", jsonx_number(g->energy.high));
	put_new(j, "energy_method", json_string(energy_method_name(g->energy.method)));
	put_new(j, "energy_source", text_or_null(g->energy.source));
	put_new(j, "energy_reason", text_or_null(g->energy.reason));
	put_new(j, "money", jsonx_number(g->money.total));
	put_new(j, "money_is", text_or_null(money_parts_text(parts, parts, is)));
	put_new(j, "currency", text_or_null(g->money.currency));
	put_new(j, "grams_co2", jsonx_number(g->grams_co2));
}

/* --- the sum of a run's processes --- */

static const struct { const char *name; size_t offset; } kept_sums[] = {
	{ "seconds", offsetof(struct gas, seconds) },
	{ "cpu_seconds", offsetof(struct gas, cpu_seconds) },
	{ "joules", offsetof(struct gas, energy.joules) },
	{ "joules_low", offsetof(struct gas, energy.low) },
	{ "joules_high", offsetof(struct gas, energy.high) },
	{ "money", offsetof(struct gas, money.total) },
	{ "money_electricity", offsetof(struct gas, money.electricity) },
	{ "money_rent", offsetof(struct gas, money.rent) },
	{ "money_people", offsetof(struct gas, money.people) },
	{ "money_capex", offsetof(struct gas, money.capex) },
	{ "grams_co2", offsetof(struct gas, grams_co2) },
};

json_t *gas_keep(const struct gas *g)
{
	json_t *j = json_object();

	for (size_t i = 0; i < ARRAY_LEN(kept_sums); i++)
		json_object_set_new(j, kept_sums[i].name,
		                    jsonx_number(*(const double *)((const char *)g + kept_sums[i].offset)));
	json_object_set_new(j, "energy_method", json_string(energy_method_name(g->energy.method)));
	json_object_set_new(j, "currency", text_or_null(g->money.currency));
	json_object_set_new(j, "peak_rss_bytes", count_or_null(g->peak_rss_bytes));
	return j;
}

static enum energy_method method_of(const json_t *kept)
{
	const char *name = json_string_value(json_object_get(kept, "energy_method"));

	for (enum energy_method m = ENERGY_MEASURED; name && m <= ENERGY_ESTIMATED; m++)
		if (!strcmp(name, energy_method_name(m)))
			return m;
	return ENERGY_NONE;
}

void gas_add_kept(struct gas *sum, const json_t *kept)
{
	enum energy_method m = method_of(kept);
	const char *currency = json_string_value(json_object_get(kept, "currency"));
	bool foreign = currency && sum->money.currency[0] && strcmp(currency, sum->money.currency);

	for (size_t i = 0; i < ARRAY_LEN(kept_sums); i++) {
		double *x = (double *)((char *)sum + kept_sums[i].offset);
		const json_t *more = json_object_get(kept, kept_sums[i].name);
		if (json_is_number(more) && !(foreign && !strncmp(kept_sums[i].name, "money", 5)))
			*x = (isnan(*x) ? 0 : *x) + json_number_value(more);
	}
	if (m != ENERGY_NONE)
		sum->energy.method = sum->energy.method == ENERGY_NONE || sum->energy.method == m ? m : ENERGY_MIXED;
	if (currency && !sum->money.currency[0] && strlen(currency) < sizeof(sum->money.currency))
		memcpy(sum->money.currency, currency, strlen(currency) + 1);
	sum->peak_rss_bytes = MAX(sum->peak_rss_bytes,
	                          (int64_t)json_integer_value(json_object_get(kept, "peak_rss_bytes")));
}

const char *gas_joules(double joules, char out[32])
{
	static const char *const units[] = { "nJ", "µJ", "mJ", "J", "kJ", "MJ", "GJ", "TJ", "PJ" };
	size_t i = 3;

	if (isnan(joules))
		return memcpy(out, "?", sizeof("?"));
	for (; fabs(joules) >= 999.5 && i + 1 < ARRAY_LEN(units); i++)
		joules /= 1000;
	for (; fabs(joules) < 0.0995 && joules != 0 && i > 0; i--)
		joules *= 1000;
	if (fabs(joules) < 0.001 && joules != 0)
		return memcpy(out, "under 0.001 nJ", sizeof("under 0.001 nJ"));
	snprintf(out, 32, "%.3g %s", joules, units[i]);
	return out;
}

static const char *many(double n, char out[40])
{
	if (!(n >= 1e15) || isinf(n))
		return human_count(n, out);
	int power = 3 * (int)floor(log10(n) / 3);
	snprintf(out, 40, "%.4g × 10^%d", n / pow(10, power), power);
	return out;
}

const char *gas_operations(double flops, double int_ops, char out[120])
{
	char a[40], b[40], c[40];

	out[0] = 0;
	if (isnan(flops))
		return out;
	if (int_ops > 0)
		snprintf(out, 120, "%.24s operations (%.24s floating-point, %.24s integer)", many(flops + int_ops, a),
		         many(flops, b), many(int_ops, c));
	else
		snprintf(out, 120, "%s floating-point operations", many(flops, a));
	return out;
}

void gas_text(const struct gas *g, char out[400])
{
	char joules[32], low[32], high[32], money[200], grams[32];
	unsigned parts = money_parts(&g->money);
	int n;

	if (isnan(g->energy.joules))
		n = snprintf(out, 400, "energy not known: %.160s", g->energy.reason);
	else
		n = snprintf(out, 400, "%s (%s to %s, %s)", gas_joules(g->energy.joules, joules),
		             gas_joules(g->energy.low, low), gas_joules(g->energy.high, high),
		             energy_method_name(g->energy.method));
	if (!isnan(g->money.total))
		n += snprintf(out + n, 400 - (size_t)n, ", %s",
		              money_text(g->money.total, g->money.currency, parts, parts, money));
	if (!isnan(g->grams_co2))
		snprintf(out + n, 400 - (size_t)n, ", %s CO2e", human_grams(g->grams_co2, grams));
}

/* --- limits --- */

enum limit_kind { LIMIT_SECONDS, LIMIT_JOULES, LIMIT_MONEY };
struct unit { const char *name; enum limit_kind kind; double factor; const char *currency; };

static const struct unit units[] = {
	{ "s", LIMIT_SECONDS, 1, NULL },    { "m", LIMIT_SECONDS, 60, NULL },     { "min", LIMIT_SECONDS, 60, NULL },
	{ "h", LIMIT_SECONDS, 3600, NULL }, { "d", LIMIT_SECONDS, 86400, NULL },  { "J", LIMIT_JOULES, 1, NULL },
	{ "kJ", LIMIT_JOULES, 1e3, NULL },  { "MJ", LIMIT_JOULES, 1e6, NULL },    { "GJ", LIMIT_JOULES, 1e9, NULL },
	{ "Wh", LIMIT_JOULES, 3600, NULL }, { "kWh", LIMIT_JOULES, 3.6e6, NULL }, { "MWh", LIMIT_JOULES, 3.6e9, NULL },
	{ "€", LIMIT_MONEY, 1, "EUR" },     { "$", LIMIT_MONEY, 1, "USD" },       { "£", LIMIT_MONEY, 1, "GBP" },
	{ "ct", LIMIT_MONEY, 0.01, "EUR" },
};

static const struct unit *find_unit(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (!strcmp(units[i].name, name))
			return &units[i];
	return NULL;
}

static bool is_currency(const char *name)
{
	return strlen(name) == 3 && isupper((unsigned char)name[0]) && isupper((unsigned char)name[1]) &&
	       isupper((unsigned char)name[2]);
}

/* One limit, in a copy that is its own. */
static int parse_one(struct gas_limit *l, char *text, struct err *e)
{
	char *end = text + strspn(text, "0123456789."), *number = text;
	struct unit money = { .kind = LIMIT_MONEY, .factor = 1 };
	double amount = strtod(number, &number);

	if (end == text || number != end)
		return err_set(e, "\"%s\" is no limit: a number and a unit were wanted, as 10m, 2 kJ or 0.05 EUR",
		               text);
	end += strspn(end, " \t");
	const struct unit *u = find_unit(end);
	if (!u && is_currency(end)) {
		money.currency = end;
		u = &money;
	}
	if (!u)
		return err_set(e,
		               "\"%s\": the unit \"%s\" is not known; there are s, m, h, d, J, kJ, MJ, Wh, kWh and "
		               "currencies as EUR",
		               text, end);
	double *to = u->kind == LIMIT_SECONDS ? &l->seconds : u->kind == LIMIT_JOULES ? &l->joules : &l->money;
	if (!isnan(*to))
		return err_set(e, "\"%s\": a second limit of %s", text,
		               u->kind == LIMIT_SECONDS ? "time" :
		               u->kind == LIMIT_JOULES  ? "energy" :
		                                          "money");
	*to = amount * u->factor;
	if (u->currency)
		snprintf(l->currency, sizeof(l->currency), "%s", u->currency);
	return isfinite(*to) ? 0 : err_set(e, "\"%s\" is too large", text);
}

int gas_limit_parse(struct gas_limit *l, const char *text, struct err *e)
{
	char *copy = mem_strdup(text), *save = NULL;
	int status = 0, n = 0;

	*l = (struct gas_limit){ .seconds = NAN, .joules = NAN, .money = NAN };
	for (char *one = strtok_r(copy, ",", &save); one && !status; one = strtok_r(NULL, ",", &save), n++) {
		one += strspn(one, " \t");
		for (size_t len = strlen(one); len && strchr(" \t", one[len - 1]); len--)
			one[len - 1] = 0;
		status = parse_one(l, one, e);
	}
	mem_free(copy);
	return status || n ? status :
	                     err_set(e, "no limit is given: a number and a unit were wanted, as 10m, 2 kJ or 0.05 EUR");
}

bool gas_limit_exceeded(const struct gas_limit *l, const struct gas *g, char out[160])
{
	char a[32], b[32], money[48], most[48];

	if (g->seconds > l->seconds) {
		clock_human(g->seconds, a);
		clock_human(l->seconds, b);
		snprintf(out, 160, "%s of at most %s", a, b);
		return true;
	}
	if (g->energy.joules > l->joules) {
		snprintf(out, 160, "%s of at most %s", gas_joules(g->energy.joules, a), gas_joules(l->joules, b));
		return true;
	}
	if (g->money.total > l->money) {
		human_money(g->money.total, g->money.currency, money);
		snprintf(out, 160, "%s of at most %s", money, human_money(l->money, g->money.currency, most));
		return true;
	}
	return false;
}
