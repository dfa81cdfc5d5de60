/* peft_config: PEFT's adapter_config.json, what is alike in it for all types that work on modules: the keys of all, the
 * modules that are meant, and the rule by which a key is refused: what has a value, is not read and does not leave the
 * adapter as it is says something that would not be done. */
#ifndef ADAPT_PEFT_CONFIG_H
#define ADAPT_PEFT_CONFIG_H

#include "adapt/adapter.h"

#define PEFT_PREFIX "base_model.model." /* of all names in PEFT's files */
#define PEFT_BARE_PREFIX "base_model."  /* of a module saved whole beside a soft prompt */
#define PEFT_RANKS "rank_pattern"
#define PEFT_ALPHAS "alpha_pattern"

/* A type's own keys beside those of all: that it reads, and that change nothing once an adapter exists. Both end with
 * NULL. */
struct peft_keys {
	const char *const *read, *const *inert;
	bool all;                              /* no target_modules is all that the type works on, else it is refused */
};

/* Refuses unknown keys with a value by name, values of another type, and target_modules that names nothing. */
int peft_check(const json_t *config, const struct peft_keys *keys, struct err *e);
/* The same for types that work on no modules; one of a model that classifies saves its head, and nothing else. */
int peft_check_prompt(const json_t *config, const struct peft_keys *keys, const struct model *m, struct err *e);
bool peft_empty(const json_t *value);  /* null, false, "", [], {} */
int peft_refuse(const char *key, const json_t *value, struct err *e); /* −1 and the sentence */
json_t *peft_number(double x);         /* as Python would have it from a person: whole numbers as int; new */
/* Refuses values of another type: rank_pattern, alpha_pattern, layers_pattern, layers_to_transform. */
int peft_check_patterns(const json_t *config, struct err *e);
/* What a module has of a number that is `init` for all: the value of the first entry of `key` that means it. */
int peft_pattern_number(const json_t *config, const char *key, const char *module, double init, double *out,
                        struct err *e);
/* The same of rank_pattern: a whole number from 1. module NULL: of all, without it. */
int peft_rank(const json_t *config, const char *module, double init, size_t *r, struct err *e);
/* A share that is dropped, 0 to below 1, 0 where nothing is said. */
int peft_dropout(const json_t *config, const char *key, double *out, struct err *e);
/* Refuses a `bias` that is not "none". */
int peft_no_bias(const json_t *config, struct err *e);
/* That a module is a linear that stands alone, neither an expert's nor a part of one that files have as a whole. */
int peft_want_linear(const struct weight *w, const char *module, struct err *e);
/* Whether the value is a list of names, a name, or nothing. */
bool peft_names(const json_t *value);
/* What a new adapter's base_model_name_or_path is where nobody says it, in mem: the name on a hub that the model has
 * for itself, else its path; NULL where that is no UTF-8. */
const char *peft_base(struct arena *mem, const struct model *m);
/* A new adapter's, in PEFT's order, into a->config: own (taken) has the type's keys, with what nobody asks for as PEFT
 * has it; what `on` says of layers and patterns stands over that. targets: as --target-modules has them. Errors: names
 * of modules and layers that there are not. */
int peft_begin(struct adapter *a, const struct model *m, const char *targets, const struct adapter_targets *on,
               json_t *own, struct err *e);

/* A type's parameters, from a->config. */
typedef int peft_build(struct adapter *a, const struct model *m, struct err *e);
/* A new adapter, all but its first numbers: peft_begin with the modules that were asked for, built, sealed. */
int peft_new(struct adapter *a, const struct model *m, const struct adapter_targets *on, json_t *own, peft_build *build,
             struct err *e);
/* adapter_type's load, of a type that is no more than what it builds. */
int peft_load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
              const char *dir, peft_build *build, struct err *e);
/* A new config for types that work on no modules; base: --base-model-name-or-path or NULL. */
void peft_begin_prompt(struct adapter *a, const struct model *m, const char *base, json_t *own);

/* The modules of a head that classifies, which an adapter saves whole; new, empty where the model has none. */
json_t *peft_head_modules(const struct model *m);

/* Adds what a type has at one module; w is the weight, `weight` its number (n_weights: a tied model's head). */
typedef int peft_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                      void *ctx, struct err *e);
/* Calls site for every module that a->config means, in the order of the weights, the head last. Returns how many, −1
 * with a sentence, also where there is none and target_parameters names none. */
int peft_each(struct adapter *a, const struct model *m, peft_site *site, void *ctx, struct err *e);
/* The name that a parameter has in PEFT's files: "base_model.model.MODULE.END", in a->mem. */
const char *peft_name(struct adapter *a, const char *module, const char *end);

#endif
