/* generate_parts: what the files of `generate` share. One answer, shown while it grows: cmd_generate.c; several to one
 * prompt: generate_samples.c; a file of rows: generate_rows.c; what these two have in common: generate_batch.c; what
 * stands before prompts, an instruction and examples: generate_context.c, documents: generate_sources.c; a label in the
 * place of a text: generate_learner.c; which adapter: generate_adapters.c; what it will take: generate_estimate.c;
 * rows and answers in the file that is written: answer_file.c. */
#ifndef CMD_GENERATE_PARTS_H
#define CMD_GENERATE_PARTS_H

#include "cmd/adapted_options.h"
#include "cmd/guarding.h"
#include "cmd/in_context.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/profiling.h"
#include "cmd/generate/drafting.h"
#include "cmd/generate/constraining.h"
#include "cmd/generate/sampling.h"
#include "cmd/index/citations.h"
#include "data/prompts.h"
#include "eval/vote.h"
#include "infer/batcher.h"

struct named_adapters {
	char **names;                  /* [n] NULL: it has none */
	const char **paths;            /* [n] borrowed of the options */
	size_t n;
	bool named;                    /* rows of prompts name their own */
};

/* What stands before prompts; the fewshot is NULL where nothing does. */
struct generate_context {
	struct in_context context;
	struct fewshot *fewshot;
	double added_tokens;           /* to a prompt, the mean of the first rows' */
	double read_seconds, new_seconds; /* of a prompt's token and an answer's, as the plan has timed them */
	struct meter_span span;
};

/* Of one prompt: what an index found. texts and prompts are those with all of them and, for --citations, then without
 * each. */
struct generate_sources {
	json_t *found;                 /* NULL: no index was named */
	struct buf *texts;             /* [n] */
	struct tokens *prompts;        /* [n] the caller encodes them */
	size_t n;
	struct grounding grounding;
	size_t answers;                /* rows that these prompts stand for; 0: it is one */
	struct answer_gas gas;         /* of one answer */
};

struct generate_command {
	struct common common;
	struct opt_list adapter;
	struct four_bit_options four_bit;
	const char *prompt, *prompt_file, *system, *out, *color, *compute;
	bool raw, show_logprobs;
	bool raw_unless_turns;         /* raw is not asked for, but how what adapt left was measured */
	int64_t n, parallel, top_logprobs;
	struct sampling sampling;
	struct constraining_options constraint;
	struct constraining constraining;
	struct draft_options draft;
	struct cache_options cache;
	struct profiling profiling;    /* of one answer alone */
	struct in_context_options context;
	struct sources_options documents;
	struct guarding_options guard;
	struct guarding guarding;
	struct adapted_options left;   /* what kungfu adapt left, which these may borrow */
	struct generate_sources sources;
	int64_t self_consistency;
	const char *extract;
	struct generate_context placed;
	const char **stops;            /* the options' and the examples' delimiter; NULL: the options' alone */
	struct named_adapters adapters;
	/* Of a cascade (ladder/cascade.h): rows that its first learner is sure of; NULL: it is none. */
	const char *model, *first;
	double first_least;
};

struct generate_prompt {
	const int32_t *ids;            /* [n], n ≥ 1 */
	size_t n;
	uint32_t stream;               /* of random numbers, see sampler.h */
	int adapter;                   /* see batcher_request */
};

/* Tokens that all prompts (n ≥ 1) begin with, each prompt's last one left out; none if they have different adapters,
 * whose keys are not the same. */
size_t generate_shared(const struct generate_prompt *prompts, size_t n);
/* A session with room for these prompts and answers, --parallel of them at once. */
int generate_session(struct session **s, const struct app *app, const struct generate_command *o, struct loaded *l,
                     const struct generate_prompt *prompts, size_t n, struct err *e);

struct generate_listener {
	/* see batcher_request; tickets are the prompts' numbers */
	void (*begun)(void *ctx, int64_t i);
	int (*done)(void *ctx, int64_t i, struct generation *g, struct err *e);
	int (*progress)(void *ctx, size_t new_tokens); /* after each step: of all answers; other than 0 ends the run */
	void *ctx;
};
/* Answers them all. 0, or −1 and a sentence, or what done or progress returned. */
int generate_batch(const struct app *app, const struct generate_command *o, struct loaded *l,
                   const struct generate_prompt *prompts, size_t n, struct sampler *pattern,
                   const struct generate_listener *listener, struct err *e);

int generate_adapters(struct named_adapters *a, const struct opt_list *list, struct err *e);
/* its number, −1 */
int generate_adapter_of(const struct named_adapters *a, const char *name);
/* see batcher_request */
int generate_row_adapter(const struct named_adapters *a, const struct row *r, int *which, struct err *e);
void named_adapters_release(struct named_adapters *a);

/* The answer's part of a generation as JSON: text, ids, finish_reason. */
json_t *generation_json(const struct generation *g);
/* What answering these prompts (n ≥ 1) will take: see cmd/estimate.h; sampler: as sampling_begin made it. */
int generate_planned(struct app *app, struct generate_command *o, struct loaded *l, struct sampler *sampler,
                     const struct generate_prompt *prompts, size_t n, struct err *e);
/* Everything but the sampler, which is the caller's. */
struct generate_options generate_options_of(const struct generate_command *o, const struct model *m, struct sampler *s);

/* The label that a learner says of one prompt, as the answer to it; dir: its folder, model: what was asked for.
 * 1, and nothing is said, where it is less sure than `least`. */
int generate_by_learner(struct app *app, const struct generate_command *o, const char *model, const char *dir,
                        double least, struct err *e);
/* The same of rows, in said[rows->n], mem_free: of those that are NULL, and stay it where it is less sure. */
int generate_say_rows(struct app *app, const struct generate_command *o, const char *dir, double least,
                      const struct rows *rows, char **said, struct err *e);
/* --prompt-file and --out by learners alone: o->first, if there is one, then the one in dir. */
int generate_rows_by_learner(struct app *app, struct generate_command *o, const char *dir, struct err *e);
/* Which learner is meant, by its content, for what an answer file was begun with; new. */
json_t *generate_learner_hash(const char *dir, struct err *e);
int generate_several(struct app *app, struct generate_command *o, struct loaded *l, const struct tokens *prompt,
                     struct err *e);
/* Reads what the options put before prompts; how->raw says whether a template writes them, and --system may go into
 * the instruction's turn. generate_context_close in any case. */
int generate_context_open(struct generate_context *g, struct app *app, const struct generate_command *o,
                          struct loaded *l, struct prompt_options *how, struct err *e);
/* A text with it, as prompt_encode_text. */
int generate_context_text(struct generate_context *g, const struct text_codec *codec, const char *text, size_t n,
                          const struct prompt_options *how, struct tokens *ids, struct err *e);
/* An answer to examples as text ends where the next would begin. */
void generate_context_stop(struct generate_command *o, bool raw);
/* From here on the answers' gas is counted; what the examples added to each, into the summary and for eyes. */
void generate_context_begin(struct generate_context *g);
/* read_tokens: of prompts, that were computed; new_tokens: of answers. */
void generate_context_tell(struct generate_context *g, const struct app *app, double read_tokens, double new_tokens,
                           json_t *summary);
void generate_context_close(struct generate_context *g);

/* What the question finds. generate_sources_close in any case. */
int generate_sources_open(struct generate_sources *g, struct app *app, const struct generate_command *o,
                          struct loaded *l, const struct buf *question, struct err *e);
/* What --citations will take besides; bytes of it are added to work. */
int generate_sources_predict(const struct generate_sources *g, const struct generate_command *o, struct loaded *l,
                             struct app *app, struct predicted *p, size_t *work, struct err *e);
/* Which of them the answer rests on; nothing without --citations. */
int generate_sources_ground(struct generate_sources *g, struct loaded *l, struct app *app, const struct tokens *answer,
                            struct err *e);
void generate_sources_show(const struct generate_sources *g, const struct generate_command *o);
void generate_sources_put(const struct generate_sources *g, const struct generate_command *o, json_t *j);
void generate_sources_close(struct generate_sources *g);

/* An exit status; a failure's sentence is in e. p: the options as they were given. */
int generate_rows(struct app *app, struct generate_command *o, const struct opt_parse *p, struct loaded *l,
                  struct err *e);

#endif
