/* What would break: seconds that are not the steady clock's, sums of phases beyond the whole, an allocation inside a
 * step by the meter's thread, limits that read another unit or currency than was written, money in a currency that
 * nobody said. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../faults.h"
#include "../held/held.h"
#include "../test.h"
#include "base/io.h"
#include "base/mem.h"
#include "gas/meter.h"

/* The processor of test/machine, a 7003 with two threads (energy_table.c): watts idle and busy of one. */
static const double idle = 0.43, busy = 2.10;

static bool near(double a, double b) { return fabs(a - b) <= 2e-5 * fabs(b); } /* readings take microseconds */

static double number(const json_t *list, size_t i, const char *key)
{
	return json_number_value(json_object_get(json_array_get(list, i), key));
}

static void check_figures(struct test *t, const struct gas *g, double seconds, double cpu_seconds)
{
	double joules = 2 * idle * seconds + cpu_seconds * (busy - idle);

	CHECK_MSG(t, near(g->seconds, seconds) && g->cpu_seconds == cpu_seconds, "%.9g s, %.9g s of processors",
	          g->seconds, g->cpu_seconds);
	CHECK_MSG(t, near(g->energy.joules, joules) && near(g->energy.idle, 2 * idle * seconds) &&
	                     g->energy.low < joules && joules < g->energy.high,
	          "%.9g J, %.9g idle, not %.9g", g->energy.joules, g->energy.idle, joules);
	CHECK(t, g->energy.method == ENERGY_ESTIMATED && g->energy.share == 1 && g->suspended_seconds == 0);
}

static void check_meter(struct test *t)
{
	struct meter_options o = { .phases = true, .place = { .root = "test/machine", .idle_watts = NAN } };
	struct gas g, part;
	struct meter_span span;

	test_case(t, "a run, its phases and a request, exactly; no allocation while a step runs");
	gas_none(&g);
	gas_none(&part);
	held_begin();
	struct meter *m = meter_begin(&o);
	mem_guard_arm();
	meter_phase(m, "read");
	held_pass(3, 1);
	meter_phase(m, "step");
	meter_open_span(m, &span);
	held_pass(5, 10);
	meter_read_span(m, &span, &part);
	meter_phase(m, "read");
	held_pass(0.5, 0.25);
	mem_guard_disarm();
	json_t *phases = meter_phases(m);
	meter_read(m, &g);
	CHECK(t, json_array_size(phases) == 2 && number(phases, 0, "count") == 2 && number(phases, 1, "count") == 1);
	CHECK(t, near(number(phases, 0, "seconds"), 3.5) && number(phases, 0, "cpu_seconds") == 1.25);
	CHECK(t, near(number(phases, 1, "seconds"), 5) && number(phases, 1, "cpu_seconds") == 10);
	CHECK(t, near(number(phases, 0, "joules") + number(phases, 1, "joules"), g.energy.joules));
	check_figures(t, &part, 5, 10);
	check_figures(t, &g, 8.5, 11.25);
	CHECK(t, g.peak_rss_bytes > 1000000 && g.mean_rss_bytes > 1000000 &&
	                 g.mean_rss_bytes <= g.peak_rss_bytes * 11 / 10);
	json_decref(phases);
	meter_end(m);
	held_end();
}

static void check_clocks(struct test *t)
{
	struct meter_options o = { .still = true, .place = { .root = "test/machine", .idle_watts = NAN } };
	struct gas g;

	test_case(t, "a wall clock set forward or back is in no duration; sleep is told apart");
	for (int sign = -1; sign <= 1; sign += 2) {
		gas_none(&g);
		faults_clock(0, 0);
		faults_stop(1000);
		struct meter *m = meter_begin(&o);
		faults_stop(1000.5);
		faults_clock(sign * 7200.0, 600);
		meter_read(m, &g);
		double joules = 2 * idle * 0.5 + g.cpu_seconds * (busy - idle);
		CHECK_MSG(t, near(g.seconds, 0.5), "%g s", g.seconds);
		CHECK_MSG(t, near(g.suspended_seconds, 600), "%g s asleep", g.suspended_seconds);
		CHECK_MSG(t, near(g.energy.joules, joules), "%g J, not %g", g.energy.joules, joules);
		meter_end(m);
	}
	faults_clock(0, 0);
	faults_stop(-1);
}

struct limit_case { const char *text; double seconds, joules, money; const char *currency; };

static bool same(double a, double b) { return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-9 * fabs(b); }

static void check_limits(struct test *t)
{
	static const struct limit_case good[] = {
		{ "10m, 2 kJ, 0.05 EUR", 600, 2000, 0.05, "EUR" },
		{ "90s", 90, NAN, NAN, "" },
		{ "1.5h", 5400, NAN, NAN, "" },
		{ " 2d ", 172800, NAN, NAN, "" },
		{ "1 Wh", NAN, 3600, NAN, "" },
		{ "0.5kWh,30 min", 1800, 1.8e6, NAN, "" },
		{ "3 USD", NAN, NAN, 3, "USD" },
		{ "$3", NAN, NAN, NAN, NULL },
		{ "3 €", NAN, NAN, 3, "EUR" },
		{ "0 J", NAN, 0, NAN, "" },
	};
	static const char *const bad[] = { "",           ",",     "10",    "m",        "-3 s",         "1e3 s",
		                           "10 parsecs", "nan J", "inf s", "1 s, 2 s", "1 EUR, 2 USD", "0x10 s",
		                           "1.2.3 s",    "5 eur" };
	struct err e = ERR_INIT;
	struct gas_limit l;
	char why[160];

	test_case(t, "limits as they are written, and what is none");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int status = gas_limit_parse(&l, good[i].text, &e);
		CHECK_MSG(t, (status == 0) == (good[i].currency != NULL), "%s: %s", good[i].text, e.msg);
		if (status == 0)
			CHECK_MSG(t,
			          same(l.seconds, good[i].seconds) && same(l.joules, good[i].joules) &&
			                  same(l.money, good[i].money) && !strcmp(l.currency, good[i].currency),
			          "%s: %g %g %g %s", good[i].text, l.seconds, l.joules, l.money, l.currency);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_MSG(t, gas_limit_parse(&l, bad[i], &e) < 0 && e.msg[0], "%s", bad[i]);

	test_case(t, "what exceeds a limit, and what is not known exceeds none");
	struct gas g;
	gas_none(&g);
	gas_limit_parse(&l, "10m, 2 kJ, 0.05 EUR", &e);
	CHECK(t, !gas_limit_exceeded(&l, &g, why));
	g.energy.joules = 2400;
	CHECK_MSG(t, gas_limit_exceeded(&l, &g, why) && !strcmp(why, "2.4 kJ of at most 2 kJ"), "%s", why);
	g.seconds = 601;
	CHECK_MSG(t, gas_limit_exceeded(&l, &g, why) && strstr(why, "of at most 10 min"), "%s", why);
}

static int load_text(struct prices *p, const char *text, struct err *e)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/prices.yaml", test_tmp());
	return io_write(path, text, strlen(text), e) < 0 ? -1 : prices_load(p, path, e);
}

static void check_prices(struct test *t)
{
	struct prices p;
	struct money m;
	struct err e = ERR_INIT;
	const char *source;
	double x;

	test_case(t, "the built-in prices: every figure has a source, and what is not known is no zero");
	CHECK_MSG(t, prices_load(&p, NULL, &e) == 0, "%s", e.msg);
	prices_cost(&p, 3.6e6, 1.8e6, 7.2e6, 3600, NAN, &m);
	CHECK(t, p.electricity_source && strstr(p.electricity_source, "20") && !strcmp(m.currency, "EUR"));
	CHECK(t, same(m.total, p.electricity) && same(m.low, p.electricity / 2) && same(m.high, 2 * p.electricity) &&
	                 isnan(m.capex) && isnan(m.people));
	CHECK(t, prices_carbon(&p, &source) > 300 && source);
	CHECK(t, prices_convert(&p, 1, "USD", &x, &e) < 0 && strstr(e.msg, "exchange"));
	prices_release(&p);

	test_case(t, "a user's file: OPEX and CAPEX apart, carbon by region or number, other currencies");
	CHECK_MSG(t,
	          load_text(&p,
	                    "machine_price: 8766\nmachine_years: 1\nmachine_utilization: 0.5\npeople: 36\nregion: "
	                    "FRA\nexchange: [USD=0.5]\n",
	                    &e) == 0,
	          "%s", e.msg);
	prices_cost(&p, 0, 0, 0, 3600, 100, &m);
	CHECK_MSG(t, same(m.capex, 2) && same(m.people, 1) && same(m.total, 3) && isnan(m.rent), "%g %g %g", m.capex,
	          m.people, m.total);
	CHECK(t, prices_carbon(&p, &source) == 56);
	CHECK(t, prices_convert(&p, 4, "USD", &x, &e) == 0 && x == 2);
	prices_release(&p);

	test_case(t, "another currency does not take the built-in figures for its own");
	CHECK(t, load_text(&p, "currency: USD\n", &e) == 0 && isnan(p.electricity));
	prices_cost(&p, 3.6e6, 0, 0, 3600, NAN, &m);
	CHECK(t, isnan(m.total) && !strcmp(m.currency, "USD"));
	prices_release(&p);

	test_case(t, "what is no price is refused with its line");
	CHECK(t, load_text(&p, "electricity: -1\n", &e) < 0 && strstr(e.msg, "line 1"));
	CHECK(t, load_text(&p, "currency: euro\n", &e) < 0 && strstr(e.msg, "three capital letters"));
	CHECK(t, load_text(&p, "region: Atlantis\n", &e) < 0 && strstr(e.msg, "Atlantis"));
	CHECK(t, load_text(&p, "exchange: [USD]\n", &e) < 0);
	CHECK(t, load_text(&p, "elektricity: 1\n", &e) < 0 && strstr(e.msg, "electricity"));
}

void test_meter(struct test *t)
{
	check_meter(t);
	check_clocks(t);
	check_limits(t);
	check_prices(t);
}
