/* rollout: answers of what is being trained to the prompts of a step, by the engine that generates and the weights of
 * that moment where they lie.
 *
 *     rollout_maxima      of what is drawn, before any is (objective.maxima)
 *     rollout_open        once what is trained is known: the session, and what drawing takes (objective.plan)
 *     rollout_draw        G answers to each prompt of a step: completions, whose documents can be trained on
 *     rollout_score       log-probabilities of their tokens by the model without what is trained (a reference), or by
 *                         what is trained as it is now
 *
 * A token is drawn from the whole distribution at the temperature, softmax(z/T): nothing is cut off it (top-k, top-p),
 * so the log-probability that training finds at the same temperature (graph_logprob_at) is that of the draw. Decoding
 * and training multiply alike and the softmax is added up alike (logprob_of_logits), so in f32 and at temperature 1 the
 * two are one number but for attention: its tiles of keys begin where the micro-batch puts them, which moves sums by
 * their last bits, about 1e-6. At another temperature training scales the hidden state, drawing the logits. The
 * difference is looked at in every draw (drift), and a run in which it is more than rounding ends (rollout_agrees).
 *
 * Random numbers are rng(seed, RNG_SAMPLE, step · 2³² + token, prompt · G + g): with the weights before the step
 * they are all that an answer depends on, so a run that goes on draws the same ones again, whatever was beside. All
 * answers of a draw are requests of one batcher (infer/batcher.h): a prompt is read once for its G answers, and the
 * next request begins when an answer ends, so the passes stay full. In training the forest shares the prompt.
 *
 * Of several ranks each draws some of a step's answers, and all get all of them; what is drawn beside (an evaluation's
 * answers) is drawn by the rank that asks.
 *
 * An answer ends with a token that ends the model's (generate_ends), which is learnt too, or is cut. */
#ifndef TRAIN_ROLLOUT_H
#define TRAIN_ROLLOUT_H

#include "train/objective.h"

struct rollout_options { int64_t num_generations, max_completion_length; double temperature; };

#define ROLLOUT_OPTS(s, f, generations_, length_, temperature_) \
	OPT_INT("num-generations", s, f.num_generations, generations_, 1, 4096, \
	        "answers that are drawn to each prompt of a step"), \
		OPT_INT("max-completion-length", s, f.max_completion_length, length_, 1, 1 << 20, \
		        "tokens of an answer; a longer one is cut"), \
		OPT_FLOAT("temperature", s, f.temperature, temperature_, 1e-3, 100, \
		          "at which answers are drawn, and log-probabilities are meant")

struct completion {
	struct document document;      /* prompt and answer; the answer's tokens are learnt */
	const struct document *prompt;
	int32_t length;                /* tokens of the answer, the one that ends it included */
	bool ended;                    /* else it was cut */
	char *text;                    /* of the answer, special tokens left out */
};

/* Differences between the log-probabilities of an answer's tokens as they were drawn and as training finds them; at:
 * that of the one with the largest, as it was drawn; most NAN: not looked at. */
struct rollout_drift { double most, at, sum; int32_t tokens; };

struct rollout {
	struct rollout_options o;
	size_t n;                      /* completions of the last draw: those of prompt i from i · generations on */
	struct completion *items;
	int generations;               /* of each prompt in it */
	struct rollout_drift drift;    /* of the answer that is looked at in a draw (rollout_look) */
	/* [most][max_completion_length] log-probabilities, from rollout_score on: by what lies under what is trained
	 * (the model, or a frozen parent), and by what is trained; NULL: not asked for */
	float *under, *policy;
	/* the rest is its own */
	size_t most;                   /* completions that there is room for */
	int32_t longest;               /* prompt */
	struct session *session;
	struct tokens ends;
	struct arena text;
	/* [most] of each answer, by whoever has drawn it */
	struct drawn { int32_t length, ended; uint64_t text; double flops, int_ops; } *made;
	int32_t *ids;                  /* [most][longest + max_completion_length] */
	uint8_t *learn;
	float *drawn;                  /* [max_completion_length] of completion 0 */
	double drawn_temperature;
	float *logits;                 /* room of rollout_look's other side: a row of them, and of logprob_of_logits */
	const struct objective_run *run;
	struct score { struct rollout *of; struct scorer *scorer; float **to; } scores[2];
	bool beside;                   /* the session is another's */
	int32_t *label_at;             /* [most] */
};

enum { SCORE_UNDER = 1, SCORE_POLICY = 2 };

/* −1: options and rows that do not fit together. */
int rollout_check(const struct rollout_options *o, const struct objective_run *run, struct err *e);
struct objective_maxima rollout_maxima(const struct rollout_options *o, const struct objective_run *run);
/* scores: of SCORE_UNDER and SCORE_POLICY those that rollout_score makes. What it takes is added to the plan. Close it
 * in any case. */
int rollout_open(struct rollout *r, const struct rollout_options *o, const struct objective_run *run, int scores,
                 struct objective_plan *p, struct err *e);
/* One more in the session of another that stays open, without scores: what was drawn there stays. */
void rollout_beside(struct rollout *r, const struct rollout *other);
void rollout_close(struct rollout *r);

/* generations answers to each of n prompts, no more in all than of a step; temperature 0: the likeliest ones. Prompts
 * stay where they are while the completions are used: until the next draw. */
int rollout_draw(struct rollout *r, long step, const struct document *const *prompts, size_t n, int generations,
                 double temperature, struct err *e);
/* Where the completion of a document that was drawn is. */
static inline struct completion *rollout_of(const struct rollout *r, const struct document *d)
{
	return &r->items[(const struct completion *)(const void *)d - r->items];
}
/* A micro-batch of drawn documents has run, x: its log-probabilities: sets drift where completion 0 is in it. */
void rollout_look(struct rollout *r, const struct batch *b, const struct document *const *docs, const float *x);
/* −1 and a sentence where drift is more than rounding explains: what draws and what learns are not one model. */
int rollout_agrees(const struct rollout *r, struct err *e);
/* For each label of a micro-batch, in the order of its document's tokens, one of [most][max_completion_length]
 * numbers. */
void rollout_fill(const struct rollout *r, const struct batch *b, const struct document *const *docs,
                  const float *numbers, float *column);
void rollout_keep(const struct rollout *r, const struct batch *b, const struct document *const *docs, const float *x,
                  float *numbers);
/* All completions at the temperature, with the bits that training has as long as nothing has changed. */
int rollout_score(struct rollout *r, struct err *e);
/* Makes completion i of n, generations to each prompt, of what another process has drawn. */
void rollout_put(struct rollout *r, size_t i, size_t n, int generations, const struct document *prompt,
                 const int32_t *ids, int32_t length, bool ended);

#endif
