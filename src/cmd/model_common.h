/* model_common: what the commands share that use a model: info, generate, score, eval, merge. */
#ifndef CMD_MODEL_COMMON_H
#define CMD_MODEL_COMMON_H

#include "adapt/adapter.h"
#include "cmd/command.h"
#include "cmd/estimate.h"
#include "data/prompts.h"
#include "infer/session.h"
#include "model/four_bit.h"
#include "eval/statistics.h"
#include "model/prepare.h"
#include "model/resident.h"
#include "template/template.h"

struct loaded {
	struct model model;
	struct adapter adapter;
	bool has_adapter;
	char *own_adapter;             /* path of that which what adapt left, or an alias, has itself; or NULL */
	struct template *chat;         /* loaded_chat: parsed; NULL when the model has none */
};

/* model: a file or folder of a model, what `kungfu adapt` left (ladder/adapted.h), or FILE.yaml:NAME, what an alias
 * stands for (serve/aliases.h).
 * Without the tokenizer: what needs text says loaded_text, loaded_chat or loaded_prompts. */
int loaded_open(struct loaded *l, const char *model, const char *adapter /* or NULL */, struct err *e);
/* The same; an adapter of PEFT's lies over the model that its own files name. */
int loaded_open_named(struct loaded *l, const char *path, struct err *e);
/* Of a model alone, for what has no place for an adapter: one that adapt left over the model is refused. */
int loaded_open_alone(struct loaded *l, const char *model, struct err *e);
/* The same of a model whose linears become 4-bit floats, if o says so. */
int loaded_open_4bit(struct loaded *l, struct app *app, const struct four_bit_options *o, const char *model,
                     const char *adapter /* or NULL */, struct err *e);
int loaded_open_facts(struct loaded *l, const char *model, struct err *e); /* weights need not be there */
int loaded_text(struct loaded *l, struct err *e);
bool loaded_has_text(const struct loaded *l); /* a tokenizer is there, whether it can be read or not */
/* Several adapters as one (adapt/multi_adapter.h), for a model that was opened without: the i-th is paths[i]. */
int loaded_several(struct loaded *l, const char *const *names, const char *const *paths, size_t n, struct err *e);
int loaded_chat(struct loaded *l, struct err *e);
/* loaded_chat, and --system and --raw made to fit: without a template a prompt is continued as it is, and said so. */
int loaded_prompts(struct loaded *l, struct prompt_options *o, struct err *e);
const struct overlay *loaded_overlay(const struct loaded *l); /* or NULL */
/* " beside the adapter's 20 virtual tokens", "" where it has none; until the next call */
const char *loaded_virtual(const struct loaded *l);
void loaded_close(struct loaded *l);

/* Adds to a prediction what a command's memory is made of: the model's weights as they will be read, `work` bytes of
 * `what`, of which `taken` are resident already, and the rest as the process has it now. Last of all, as everything is
 * open by then. Returns the seconds of reading the weights in. */
double loaded_predict(const struct loaded *l, struct predicted *p, const struct model_reads *reads, size_t work,
                      size_t taken, const char *what);

/* Name, name_stderr and name_ci95 of a score; nulls where there is none. */
void put_estimate(json_t *j, const char *name, const struct estimate *x);

#define COMPUTE_OPT(s, f, init) \
	OPT_CHOICE("compute", s, f, init, "auto|f32|int8", \
	           "arithmetic of products with quantized matrices: exact numbers in f32, or int8 with both sides in " \
	           "blocks of 32; auto: int8 where this processor is fast in it")
/* model_prepare as --compute has it; the command's summary says what it came to. */
int model_compute(struct app *app, struct model *m, const char *compute, enum prepare_for what, struct err *e);

struct cache_options { const char *k, *v; };
#define CACHE_OPTS(s, f) \
	OPT_CHOICE("cache-type-k", s, f.k, "f16", "f32|f16|q8_0", \
	           "how keys of the context are kept: exact, in half, or in about a quarter of the memory"), \
		OPT_CHOICE("cache-type-v", s, f.v, "f16", "f32|f16|q8_0", "how values of the context are kept")
struct cache_types cache_types(const struct cache_options *o);

#define ADAPTER_OPT(s, f) \
	OPT_STRING("adapter", s, f, NULL, "PATH", \
	           "an adapter on top of the model: a folder of PEFT's form, a run, or a GGUF file")

#endif
