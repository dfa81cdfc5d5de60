/* pretrain: what the files of `kungfu pretrain` share, and what other commands know of it.
 *
 * A run's folder begins with PRETRAIN_FILE, which holds what was asked for. What is made of a text before the first
 * step lies in PREPARED: tokenizer/, shards/, config.json. Then there is a recipe.json that names these, and the rest
 * is a run as any other (cmd/trial.h). A process that dies before that leaves a folder from which resume prepares
 * anew, with the same bytes; one that dies behind it leaves seeds that resume goes on with. */
#ifndef CMD_PRETRAIN_H
#define CMD_PRETRAIN_H

#include "base/arena.h"
#include "cmd/command.h"
#include "cmd/profiling.h"
#include "corpus/shards.h"
#include "train/recipe.h"
#include "train/run_dir.h"

struct pretrain {
	struct common common;
	struct recipe recipe;
	struct opt_list set;
	struct profiling profiling;
	const char *from, *size, *budget, *dedup, *filters, *valid_by;
	double flops, valid_ratio;
	int64_t vocab_size, batch_tokens, block_size, seeds;
	bool coord_check, scaling_laws;
	double began;                  /* clock_seconds() */
	struct arena mem;
};
extern const struct opt pretrain_opts[];

/* Was it begun there, and did it not come to a recipe.json? */
bool pretrain_is(const char *dir);
int pretrain_resume(struct app *app, const struct common *common, const char *dir, struct err *e);
/* Was more asked for than the run in that folder, and is it not there: other seeds, what a law's check says? Once the
 * run is finished, the rest. */
bool pretrain_goes_on(const char *dir);
int pretrain_rest(struct app *app, const struct common *common, const char *dir, struct err *e);
/* Paths of a recipe that lie in its own folder, when that has another name by now; in mem. */
void pretrain_moved(struct recipe *r, const char *dir, struct arena *mem);

/* prepare.c: the tokenizer and the shards, which the recipe names then. `in`: the folder for PREPARED. */
int pretrain_prepare(struct app *app, struct pretrain *o, const char *in, struct err *e);
/* choose.c: what nobody said: shape, batch, rate, steps; by the shards, or within a budget. */
int pretrain_choose(struct app *app, struct pretrain *o, struct opt_parse *p, const char *in, struct err *e);
/* Seconds of --budget; NAN: there is none. */
int pretrain_seconds(const struct pretrain *o, double *seconds, struct err *e);
/* What a new model of the recipe, as pretrain_choose left it, does here: steps are run for `most` seconds and thrown
 * away. Operations a second, and seconds until there is a first step. */
struct pretrain_speed { double flops, open; };
int pretrain_measure(struct app *app, struct pretrain *o, struct opt_parse *p, const char *in, double most,
                     struct pretrain_speed *speed, struct err *e);
/* laws_view.c: what the laws say of a new model's run, beside its plan. n: parameters as laws count them. */
struct pretrain_facts { double n, tokens, unique, batch, rate, vocabulary; };
void pretrain_laws(const struct app *app, const struct pretrain_facts *f);
/* coordinates.c: the check of muP on models of several widths; no text is read, no run is made. */
int pretrain_coordinates(struct app *app, const struct pretrain *o, struct err *e);
/* seeds.c: after the run in the recipe's folder, the same with other seeds beside it, and what of the difference
 * between two runs is noise. The exit status, or −1. */
int pretrain_seeds(struct app *app, struct pretrain *o, struct err *e);
/* scaling.c: a ladder of small runs in the folder, the law through them, and what it says of --flops or --budget; the
 * recipe is then of the run that checks it. And what came of that. The exit status, or −1. */
struct scaling;
int scaling_ladder(struct scaling **out, struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e);
int scaling_checked(struct scaling *s, struct err *e);
void scaling_free(struct scaling *s);
/* characters.c: a tokenizer whose tokens are the characters of the texts, new; in tokenizer.json's form. */
struct token_texts;
struct tokenizer *characters_tokenizer(struct token_texts *texts, struct err *e);

/* pretrain_view.c: the run's loss as loss.svg in its folder, and in the terminal. */
int pretrain_curve(const char *dir, bool quiet, struct err *e);

#endif
