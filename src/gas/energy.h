/* energy: what the machine's counters say it has used, and where there are none, a model with an honest interval.
 *
 * Sources, best first. A source of the whole machine counts alone: a smart plug's file, the board's own meter (hwmon
 * power_meter, some power supplies, IPMI's DCMI), a battery that discharges. Else its parts are added: processor and
 * memory by RAPL (powercap: packages and DRAM; cores lie inside packages, psys around them, and the mmio domains are
 * the same packages again, so none of those is added), GPUs by NVML. What no counter covers of processor and memory is
 * modelled from energy_table.c, load and time; that is never called measured: with a part of it the whole is "mixed".
 *
 * Every reader takes a root folder, so that tests present false counters. After energy_open nothing allocates. */
#ifndef GAS_ENERGY_H
#define GAS_ENERGY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct energy_place {
	const char *root;              /* holds sys/, proc/ and dev/; NULL: "/" */
	const char *nvml;              /* library; NULL: libnvidia-ml.so.1; "": none */
	const char *power_file;        /* watts as text, written by the user's script; NULL: none */
	double idle_watts;             /* of the counted parts, as measured before; NAN or 0: not known */
};

enum energy_method { ENERGY_NONE, ENERGY_MEASURED, ENERGY_MIXED, ENERGY_ESTIMATED };
const char *energy_method_name(enum energy_method m); /* "none", "measured", "mixed", "estimated" */

/* What one stretch of time took. joules: the machine's counted parts times this process's share of the busy processor
 * time; low and high bound it (counter's error, time not covered, attribution). All NAN where nothing honest can be
 * had; then reason says why. */
struct energy_total {
	double joules, low, high;
	double idle, marginal;         /* joules = idle + marginal; NAN where idle power is not known */
	/* of the counted parts, all processes; memory that is modelled beside them included */
	double machine_joules;
	double share;                  /* of the machine's busy processor time, 0 to 1 */
	enum energy_method method;
	/* "rapl: package-0, dram", "model: AMD EPYC (a virtual machine's share), 2 threads" */
	char source[128];
	char reason[192];              /* "" or a sentence: what is missing or was lost */
};

/* What the processor did in the same stretch, for shares and the model. */
struct energy_load {
	double seconds, cpu_seconds;   /* of the wall (suspended time left out), of this process */
	double machine_cpu_seconds;    /* busy, all processes of the machine; NAN: not known */
};

/* A position in the sums, so that a stretch may begin anywhere: energy_mark at its beginning, energy_since at its
 * end. */
enum { ENERGY_CHANNELS = 32 };
struct energy_mark { double time, joules[ENERGY_CHANNELS], covered[ENERGY_CHANNELS]; };

struct energy;
/* Of all processes' busy processor time, this one's: 1 where the others' is not known. What a meter reads and what a
 * plan expects are the same share: cpu_seconds / machine_cpu_seconds. */
double energy_share(const struct energy_load *load);
/* What a plan expects: `single` of the seconds on one thread, the others on `threads`, beside others who want to keep
 * `others` processors busy (NAN: not known). Where all want more than there is, each gets its part of what it wants. */
struct energy_load energy_expect(const struct energy *e, double seconds, double single, double threads, double others);

struct energy *energy_open(const struct energy_place *p /* NULL: this machine */);
/* reads every source; now in seconds, steady; one caller at a time */
void energy_sample(struct energy *e, double now);
/* seconds between samples that the sources want; 0: beginning and end are enough */
double energy_period(const struct energy *e);
void energy_mark(const struct energy *e, struct energy_mark *m);
void energy_since(const struct energy *e, const struct energy_mark *from, const struct energy_load *load,
                  struct energy_total *out);
/* Every source that was looked for and what came of it, a line each: name, whether it counts, why not. */
void energy_describe(const struct energy *e, void (*say)(void *ctx, const char *name, bool used, const char *what),
                     void *ctx);
/* a counter of the whole machine, or of its packages, is used */
bool energy_counts_processor(const struct energy *e);
const char *energy_processor(const struct energy *e);    /* as the system names it; NULL when it does not */
double energy_idle_watts(const struct energy *e);       /* as given, or the model's middle */
void energy_close(struct energy *e);

/* The model alone, for plans: energy of `load` on this machine. */
void energy_model(const struct energy *e, const struct energy_load *load, struct energy_total *out);

#endif
