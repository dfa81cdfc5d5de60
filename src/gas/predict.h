/* predict: what a command will take, said before it by its own dry run, with intervals; and after it, whether that came
 * true.
 *
 * A command fills a struct predicted with raw figures: the exact ones (bytes, operations) of what is recorded and
 * planned, the seconds of its phases as they were measured on a little of the work. Past runs of the same kind on this
 * machine (gas/ledger.h) say how far such figures were off; forecast.h makes the interval from both. The raw figures
 * are what the ledger keeps, so that what is learnt is never learnt twice. */
#ifndef GAS_PREDICT_H
#define GAS_PREDICT_H

#include <jansson.h>

#include "gas/forecast.h"

enum { PREDICT_PARTS = 10 };

struct predicted_part { const char *name; double amount; const char *why; };

struct predicted {
	/* runs of one kind learn from each other: "tune full f32"; "": it is neither learnt from nor compared */
	char kind[64];
	double seconds, bytes;         /* of the whole command; peak resident set: sums of the parts */
	double flops, int_ops;         /* exact: floating-point; in int8; NAN: not known */
	/* of seconds: what differs most between runs (taking memory, writing), by half of it */
	double loose_seconds;
	double spare_seconds;          /* of seconds: what may not come at all, as an answer that ends early */
	struct predicted_part phase[PREDICT_PARTS], part[PREDICT_PARTS]; /* seconds; bytes */
	size_t n_phases, n_parts;
};

/* kind: as printf. Everything else begins at zero, flops unknown; the first phase is "open", which predict_open
 * sets. */
void predict_begin(struct predicted *p, const char *kind, ...) __attribute__((format(printf, 2, 3)));
const char *predict_human(double seconds, char out[32]);  /* "72 ms", "1.31 s", "3 min 20 s" */
void predict_open(struct predicted *p, double seconds);
/* All operations, and of them those in int8, as plans have them (op/pass.h). */
void predict_operations(struct predicted *p, double all, double in_int8);
/* adds to the sum; 0 seconds: kept all the same */
void predict_phase(struct predicted *p, const char *name, double seconds);
/* "weights", …, why: for eyes */
void predict_part(struct predicted *p, const char *name, double bytes, const char *why);

/* What past runs of this kind were predicted to take, raw, and took; oldest first. */
struct predict_past {
	struct forecast_past seconds[FORECAST_LAST], bytes[FORECAST_LAST];
	size_t n;
	/* in any order; predicted: still seconds, with their σ; actual: what counters told */
	struct forecast_past joules[FORECAST_LAST];
	size_t n_joules;
};

struct predicted_spans {
	struct span seconds, bytes, joules; /* joules: NAN until whoever plans knows them */
	size_t past;
	double sigma /* of the seconds, before anything is learnt */;
};

void predict_spans(const struct predicted *p, const struct predict_past *past /* or NULL */,
                   struct predicted_spans *out);

/* Joules learnt as time is, from runs whose joules were counted: their median power by the planned seconds, and how far
 * they were off from that. Between them and 15 % and the time's own σ, as forecast.h pools them. False where there are
 * none. */
bool predict_joules(const struct predicted *p, const struct predicted_spans *s, const struct predict_past *past,
                    struct span *out);

/* "planned_seconds", "planned_seconds_low" …, "parts", "seconds_parts": adds to j. */
void predict_json(json_t *j, const struct predicted *p, const struct predicted_spans *s);

/* Was it within? Writes what a summary shows of it: "planned 11 s to 13 s, took 12.4 s: inside; memory 808 MB to 818
 * MB, 815 MB: inside; energy 0.6 J to 2.2 J, 0.9 J: inside"; and adds to j (may be NULL) under "prediction":
 * seconds_inside, bytes_inside, joules_inside (null where either is not known). */
void predict_compare(const struct predicted_spans *s, double seconds, double bytes, double joules, char out[400],
                     json_t *j);

#endif
