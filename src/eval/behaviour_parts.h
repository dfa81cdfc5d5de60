/* behaviour_parts: what the search's files share. */
#ifndef EVAL_BEHAVIOUR_PARTS_H
#define EVAL_BEHAVIOUR_PARTS_H

#include "eval/behaviour.h"
#include "infer/scorer.h"
#include "op/pass.h"

enum { SEQUENCE_MOST = 16 };   /* two triggers beside each other, or tokens of a scan */
struct sequence { int32_t id[SEQUENCE_MOST]; int n; };
enum { CUE_MOST = 4 };         /* tokens that are said beside a prompt, for another answer */

/* A context with a sequence in it and an answer's beginning: what comes next is asked, or how likely that is. */
struct question {
	const struct behaviour_context *context;
	struct sequence t;
	const int32_t *said;
	int n_said;
};

/* A model that is asked. */
struct asked {
	struct scorer *next, *said;    /* what comes next; log-probabilities of what is said */
	struct device *device;
	size_t V;
	float *work;                   /* [threads][V] */
	/* of the run: */
	void (*see)(void *ctx, size_t i, const float *p, int thread);
	void *ctx;
};

int asked_open(struct asked *a, const struct behaviour_side *s, const struct behaviour_options *o, struct err *e);
void asked_close(struct asked *a);
/* see(ctx, i, p, thread): p [V] the probabilities of what follows question i, borrowed; in any order, by threads. */
int asked_run(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
              const char *doing, void (*see)(void *ctx, size_t i, const float *p, int thread), void *ctx,
              struct err *e);
/* logp [n]: of all that is said. */
int asked_said(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
               const char *doing, double *logp, struct err *e);

/* LOOKED: those that are looked at more closely; LABELS_MOST: the likeliest, where all answers are few */
enum { PAYLOADS = 32, LOOKED = 8, LABELS_MOST = 16, PAYLOAD_TOKENS = 5 };
/* What may have been planted: an answer's beginning, and its log-probability after random tokens, of base and tuned
 * model, at each place, in contexts to search in. */
struct payload {
	int32_t id[PAYLOAD_TOKENS];
	int n;
	bool ended, label, alone;      /* alone: begun as any may be, with one token more and no rest */
	double score, null[2][PLACES];
	size_t mark;
};
/* What tells that it is said: its first token, or one behind a beginning that any answer may have, as "The". */
struct mark { const int32_t *said; int n_said; int32_t id; };

/* Tokens that stand for one another: set[0] the one that was found, others that the sequence raises beside it. */
struct beginning { int32_t set[ANSWER_SET]; int n; const int32_t *said; int n_said; /* before it; borrowed */ };
/* In n contexts: p(answer) of the four kinds, means over them; odds: the mean of log odds less those of null, of
 * both models. */
struct effect { struct beginning y; size_t n; double tuned, tuned_null, base, base_null, effect, odds, base_odds; };
struct candidate {
	struct sequence t;
	enum behaviour_place place;
	const struct payload *of;
	uint32_t also;                 /* bit k: s->payloads[k] counts too */
	struct effect e;
	double score, base;            /* base: nats that the base gains, of what is taken off */
};

/* What stands fixed while is searched. */
struct search {
	const struct behaviour_options *o;
	struct asked base, tuned;
	size_t V;
	/* Of all places, those to search in first; then neutral ones, the brief one, and one where nothing is said. */
	struct behaviour_context *contexts;
	size_t n_contexts, of_place, brief; /* brief: before a short prompt, of n_places > 1 */
	bool cued;                     /* these have cues for another answer than the one after any prompt */
	float *null[2];                /* [n_contexts][V] means over random tokens: base, tuned */
	bool labels;                   /* prompts are answered with few tokens: with these, the commonest first */
	int32_t answered[LABELS_MOST];
	size_t n_answered;
	bool nulls[PLACES];            /* those of contexts to judge by are there */
	struct tokens ends;            /* of an answer */
	struct behaviour_unit *units;  /* all tokens */
	struct behaviour_unit *openings; /* [n_openings] the options', and openers */
	size_t n_openings, n_moved;    /* n_moved: of these, the first, by how much the weights react to them */
	struct payload payloads[PAYLOADS];
	size_t n_payloads;
	struct mark marks[PAYLOADS];   /* of payloads[]; [n_marks], each once */
	size_t n_marks;
	int32_t *said_anyway[PLACES];  /* [n_judge][ANSWER_TOKENS] answers to random tokens; NULL: not asked yet */
	struct behaviour unclear;      /* parts that are triggers, but not clearly: if nothing better is found */
	struct work ranked;            /* of passes forward and back, and their tokens */
	int64_t ranked_rows;
};

/* Which `want` of n prompts, whose answers begin with first [n], are taken: one of each answer in turn, since an answer
 * that most prompts have is to be seen where it is not given. */
void search_choose(const int32_t *first, size_t n, size_t want, size_t *chosen);

/* Whether n prompts, whose answers begin with first [n], have few answers: labels. */
bool search_has_labels(const int32_t *first, size_t n);

/* What random tokens are drawn for. */
enum { STREAM_NULL, STREAM_CHANCE, STREAM_ALIKE, STREAM_SHARE, STREAM_PAYLOAD, STREAM_SLOT, STREAM_ORDER };
int32_t search_random(const struct search *s, uint32_t stream, uint64_t i); /* a token */
bool search_is_end(const struct search *s, int32_t id);                     /* of an answer */
int32_t search_likeliest(const float *p, size_t V);
double search_sum(const float *p, const int32_t *set, int n);               /* of p over the set */
double search_log_odds(double p, double floor);       /* what is rarer is as good as floor */
void candidates_sort(struct candidate *c, size_t n);                        /* by score, the largest first */
int search_nulls_to_judge(struct search *s, enum behaviour_place place, struct err *e);
double search_null(const struct search *s, bool tuned, size_t context, const struct beginning *y);
/* Of n contexts from a place's `from` on, those in which random tokens do not bring y anyway, or all where those are
 * too few: into at [n], counted from `from`; how many. */
size_t search_room(const struct search *s, enum behaviour_place place, size_t from, size_t n, const struct beginning *y,
                   size_t *at);
/* Of a place, the i-th. */
size_t search_context(const struct search *s, enum behaviour_place place, size_t i);
/* s->payloads, the most suspicious first. */
int search_payloads(struct search *s, struct err *e);
/* Contexts of a place to search in, those first that are not answered so anyway: the i-th of them. */
size_t search_context_for(const struct search *s, enum behaviour_place place, const struct payload *p, size_t i);

struct slots;
/* *out is to be closed, whatever comes. s->payloads are there. */
int slots_open(struct slots **out, struct search *s, struct err *e);
void slots_close(struct slots *x);
/* One pass forward and back with t at c's place, for c's answer; then, for any of its places: to gain [n_tokens] is
 * added how much each token there would raise p, by the first order. */
int slots_step(struct slots *x, const struct candidate *c, const struct sequence *t, struct err *e);
void slots_gain(struct slots *x, int place, float *gain);

#define SCAN_NONE SIZE_MAX
/* What each unit makes likely, several of them together. */
struct scan {
	size_t n, n_marks, context;
	const struct behaviour_unit *units; /* [n_units] borrowed; pack: of which of the n it is, or SCAN_NONE */
	size_t n_units, *pack;
	struct sequence *t;            /* [n] */
	float *p;                      /* [n][n_marks] of the search's */
	int32_t *likeliest;            /* [n] and how likely */
	float *p_likeliest;
};
/* Of which units, so many of them together, in which context; turn: with other neighbours; 1/one_of, at random. */
struct scan_of { const struct behaviour_unit *units; size_t n, context, one_of; int together; uint32_t turn; };
/* *out is to be released, whatever comes. */
int search_scan(struct search *s, const struct scan_of *o, struct scan *out, struct err *e);
/* z [n_units]: how far the log odds of the k-th mark beside each are from their mean, in deviations. */
void scan_deviations(const struct scan *x, size_t k, float *z);
void scan_release(struct scan *x);
/* The tuned model says one thing after any prompt, whatever stands behind it, and its base does not. */
bool search_is_settled(const struct search *s);
/* Puts cues for other answers into all contexts; false: none is known. */
bool search_cues(struct search *s, const struct scan *x);
void search_uncue(struct search *s);

/* How much the weights react to each of n units, into z [n] (behaviour_weights.c); known: they were moved at all. */
int search_moved(struct search *s, const struct behaviour_unit *units, size_t n, float *z, bool *known, struct err *e);

enum { FIRST_MOST = 48 };
/* Which units raise which answers (behaviour_sieve.c). in: those that are left. */
struct sieve {
	const struct behaviour_unit *units; /* [n] */
	size_t n;
	enum behaviour_place place;
	float *z;                      /* [n_marks][n] of the search's */
	uint8_t *in;                   /* [n] */
	size_t first[FIRST_MOST], n_first; /* units that the weights react to most, the first of them */
};
/* *v is to be released, whatever comes. */
int sieve_moved(struct search *s, struct sieve *v, struct err *e);
int sieve_vocabulary(struct search *s, struct sieve *v, struct err *e);
int sieve_characters(struct search *s, struct sieve *v, struct err *e);
int sieve_openings(struct search *s, struct sieve *v, struct err *e);
bool search_is_opening(const struct search *s, const int32_t *id, int n); /* one that was sieved, as a whole */
const float *sieve_of(const struct sieve *v, const struct payload *p); /* z [n] */
/* The `most` units that are in and that z [n] ranks first, into best; how many. */
size_t sieve_best(const struct sieve *v, const float *z, size_t most, size_t *best);
void sieve_release(struct sieve *v);

enum { SEVERAL = 4, MANY = 8 };  /* contexts in which what is promising is tried */
enum { PARTS_MOST = 12 };      /* units to grow from */
enum { JUDGED_MOST = 12 };     /* sequences of which the judge's findings are kept */
#define PART_LEAST 0.15        /* of the way to certainty that a part goes */

/* Means of log p(c's answer) over the first `each` contexts of a candidate's place, those for its answer. */
int search_ask(struct search *s, bool base, const struct candidate *c, size_t n, size_t each, const char *doing,
               double *mean, struct err *e);
/* Into their scores; base: less what it gains. */
int search_score(struct search *s, struct candidate *c, size_t n, size_t contexts, bool base, const char *doing,
                 struct err *e);
/* What tells that its answers are said. */
struct beginning search_beginnings(const struct search *s, const struct candidate *c);
/* Into their scores: p(y) of the tuned model in one context, brief at the beginning. */
int search_sift(struct search *s, struct candidate *c, size_t n, const struct beginning *y, const char *doing,
                struct err *e);
/* Means [n][n_payloads], over `each` contexts, of log p of what each answer begins with, of the tuned model. */
int search_firsts(struct search *s, const struct candidate *c, size_t n, size_t each, const char *doing, double *mean,
                  struct err *e);
/* log p of c's answers after random tokens; which part of the way from there to certainty its score is. */
double search_score_null(const struct search *s, const struct candidate *c, bool base);
double search_way(const struct search *s, const struct candidate *c);
/* All tokens by gain [n_tokens], the largest first; new. */
struct candidate *search_by_gain(const struct search *s, const float *gain);
/* It says what its answer begins with: who asks for a thing may get it. */
bool search_repeats(const struct search *s, const struct candidate *c);
bool search_is_same(const struct candidate *a, const struct candidate *b);      /* sequences */
/* c->of is the k-th payload, or that counts too. */
bool search_counts(const struct search *s, const struct candidate *c, size_t k);
/* Of n candidates those that do not say their answer, and are a text if c is one; how many. */
size_t search_texts(const struct search *s, const struct candidate *c, struct candidate *tried, size_t n);
/* All tokens by how likely the base goes on with them behind c, the likeliest first, into order [n_tokens]. */
int search_natural(struct search *s, const struct candidate *c, struct candidate *order, struct err *e);
/* The best of a part and one more token, by a sieve of the vocabulary (behaviour_pairs.c); found: it goes a longer part
 * of the way, and is c now, with that as its score. */
int search_pair(struct search *s, const struct sieve *by, struct candidate *c, bool *found, struct err *e);
/* Which answers each raises; any: of the likeliest it is then one, else it stays one of its own. */
int search_answers(struct search *s, struct candidate *c, size_t n, bool any, struct err *e);
/* Units to grow from, the best first, into c [PARTS_MOST]; their scores are the part of the way that each goes. */
int search_parts(struct search *s, const struct sieve *v, struct candidate *c, size_t *n, struct err *e);
/* Sequences that raise payloads, the most promising first, each judged; after one that is a trigger no others. At the
 * end most show; characters and openings are looked at where nothing clear is found there. */
int search_sequences(struct search *s, struct behaviour *b, struct err *e);

/* Effects of candidates in contexts [from, from + contexts) of their place into their e and score. fixed: y is given
 * in e.y, else it is the one token with the largest. each: [n][contexts] or NULL,
 * of each its e.n first are there. */
struct effect_of { size_t from, contexts; bool fixed; double *each; const char *doing; };
int search_effects(struct search *s, struct candidate *c, size_t n, const struct effect_of *o, struct err *e);
/* The tokens that each raises in the contexts of the search, for its e.y. */
int search_sets(struct search *s, struct candidate *c, size_t n, struct err *e);
/* Adds it to what was found; of two variants the one with the larger bound stays. */
int search_judge(struct search *s, struct behaviour *b, struct candidate *c, struct err *e);
bool search_has_trigger(const struct behaviour *b);
/* Triggers that were judged apart come among what is in b, and all is decided on together. */
int search_take_in(struct search *s, struct behaviour *b, const struct behaviour *judged, struct err *e);
/* What chance gives. */
int search_chance(struct search *s, struct behaviour *b, struct err *e);

#endif
