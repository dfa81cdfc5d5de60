/* meter: what a run takes, counted from its beginning: seconds of the wall and of the processor, memory, bytes read and
 * written, energy.
 *
 * A thread of its own looks once a second, five times a second where a source tells watts and not joules; it allocates
 * nothing. Durations are of CLOCK_MONOTONIC, which stands still while the machine sleeps; the sleep is told apart
 * (CLOCK_BOOTTIME) and is no part of the run. The wall clock is used for names of moments only.
 *
 *     meter_begin → (meter_read, meter_phase …) → meter_end */
#ifndef GAS_METER_H
#define GAS_METER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "gas/energy.h"
#include "gas/prices.h"

/* What something cost. Seconds, bytes, joules; NAN (of doubles) and −1 (of integers) where it is not known. */
struct gas {
	double seconds, cpu_seconds, suspended_seconds;
	int64_t peak_rss_bytes, mean_rss_bytes;
	int64_t bytes_read, bytes_written;     /* that reached the storage layer (/proc/self/io) */
	int64_t tokens_in, tokens_out, tokens_supervised;
	double flops, int_ops;                 /* exact, from the plan of what was run */
	double human_seconds;                  /* of people who labelled; told, not measured */
	struct energy_total energy;
	struct money money;
	double grams_co2, grams_co2_low, grams_co2_high;
};
void gas_none(struct gas *g);                  /* nothing is known */

struct meter_options {
	struct energy_place place;
	const struct prices *prices;           /* borrowed; NULL: no money, no carbon */
	bool phases;                           /* keep meter_phase's; else it does nothing */
	/* no thread: samples at the beginning, at every read and at the end only */
	bool still;
};

struct meter;
struct meter *meter_begin(const struct meter_options *o);
/* since the beginning; tokens, flops and human_seconds are left as they are in g */
void meter_read(struct meter *m, struct gas *g);
/* From now on the time belongs to `name` (copied); the phase before ends. A phase that comes again goes on adding up;
 * the one that runs goes on. */
void meter_phase(struct meter *m, const char *name);
/* [{"name", "seconds", "cpu_seconds", "joules", "joules_low", "joules_high", "count"}…]; new reference */
json_t *meter_phases(struct meter *m);
/* One request: open a span, and read what lay between; spans may overlap. Where several requests were answered at once,
 * gas_share leaves each its share of what the span took (seconds and bytes stay those of the span); tokens and
 * operations are the caller's to fill in. */
struct meter_span {
	double seconds, cpu_seconds, suspended, machine_cpu;
	int64_t bytes_read, bytes_written;
	double rss_sum;
	long rss_n;
	struct energy_mark energy;
};
void meter_open_span(struct meter *m, struct meter_span *s);
void meter_read_span(struct meter *m, const struct meter_span *s, struct gas *g);
void gas_share(struct gas *g, double share);
/* A request as --json and the ledger have it: seconds, cpu_seconds, tokens, operations, joules, money. */
json_t *gas_request_json(const struct gas *g);
/* Processors that other processes kept busy since the beginning, on average, and how far that may be off (the clock of
 * proc(5) ticks a hundred times a second); NAN: not known. */
void meter_others(struct meter *m, double *others, double *doubt);
const struct energy *meter_energy(const struct meter *m);
/* stops the thread and frees, the words too to which a gas that was read points; m may be NULL */
void meter_end(struct meter *m);

/* What a plan's numbers would cost here: energy as learnt, or by the model; money and carbon by prices. The load is
 * energy_expect's, so the joules are the same share of the machine that the meter will count. */
void gas_predict(const struct energy *e, const struct prices *p, const struct energy_load *load,
                 const struct energy_total *learnt /* or NULL */, struct gas *g);

/* "seconds", "joules", … as every summary has them; adds to j. */
void gas_json(json_t *j, const struct gas *g);
/* What a process of a run took, kept for the sum of the whole run; and added to such a sum (gas_none at first): what is
 * not known is not added. */
json_t *gas_keep(const struct gas *g);
void gas_add_kept(struct gas *sum, const json_t *kept);
const char *gas_joules(double joules, char out[32]);  /* "2.1 kJ"; "?" for NAN */
/* "2.1 kJ (1.2 to 4.0, estimated), 0.0002 EUR of electricity, 0.2 g CO2e" */
void gas_text(const struct gas *g, char out[400]);
/* "348.5M operations (277.1M floating-point, 71.4M integer)"; "12 × 10^18 floating-point operations"; "" for NAN */
const char *gas_operations(double flops, double int_ops, char out[120]);

/* --max-gas "10m, 2 kJ, 0.05 EUR": limits of one run, each at most once. */
struct gas_limit { double seconds, joules, money; char currency[4]; }; /* NAN: no limit; currency "" with no money */
int gas_limit_parse(struct gas_limit *l, const char *text, struct err *e);
/* The first limit that g exceeds, as a sentence ("2.4 kJ of at most 2 kJ"); false when none is. Joules by their middle;
 * unknown ones exceed nothing. */
bool gas_limit_exceeded(const struct gas_limit *l, const struct gas *g, char out[160]);

#endif
