/* target: which modules of a model a PEFT config means, by PEFT's own rules (tuners_utils.check_target_module_exists,
 * other.get_pattern_key), regular expressions included. A module is a weight's name without ".weight"; a tied model's
 * head is one too. */
#ifndef ADAPT_TARGET_H
#define ADAPT_TARGET_H

#include <jansson.h>
#include <stdbool.h>

#include "model/model.h"

/* Whether target_modules (a list of names, "all-linear", or one expression for whole names) means the module, after
 * exclude_modules, modules_to_save and layers_to_transform. 1 yes, 0 no, −1 with a sentence. */
int target_hit(const json_t *config, const char *module, const struct weight *w, struct err *e);

/* Whether the expression is of the whole name. 1 yes, 0 no, −1 with a sentence. */
int target_expression(const char *pattern, const char *name, struct err *e);

/* Whether, under ensure_weight_tying, target_modules means a tied model's embedding and head both
 * (tuners_utils._check_tied_modules, which looks for the names embed_tokens and lm_head alone). 1 yes, 0 no, −1 with
 * a sentence. */
int target_ties(const json_t *config, struct err *e);

/* Whether the entry of modules_to_save means this weight's module or one that holds it. */
bool target_saves(const char *entry, const char *module);

/* The value of the first key of `patterns` (an object, may be NULL) that matches the end of the module's name; NULL:
 * none. −1 on a bad expression. */
int target_pattern(const json_t *patterns, const char *module, const json_t **value, struct err *e);

/* A name of the list under this key (target_modules, exclude_modules) that means no module of the model, or NULL. */
const char *target_unused(const json_t *config, const char *key, const struct model *m);
/* A name of the list target_modules that is a module's whole name, or NULL. */
const char *target_in_full(const json_t *config, const struct model *m);

/* The shortest sorted list of names that means all linears but the head, new reference. experts: those of experts and
 * what chooses among them too, which transformers has as parameters since its version 5, older ones as modules. */
json_t *target_all_linear(const struct model *m, bool experts);

/* Whether the list has the name itself, or the end of it after a dot. */
bool target_listed(const json_t *list, const char *name);
/* Whether the weight is an expert's matrix, or chooses among experts. */
bool target_of_experts(const struct weight *w);
/* What transformers calls the parameter that holds the weight, in mem. */
char *target_parameter(struct arena *mem, const struct weight *w);

/* "q_proj, k_proj, …": the modules that there are, for sentences; in mem. */
const char *target_names(struct arena *mem, const struct model *m);

/* "a, b,c" as a sorted list without repetitions, new reference. */
json_t *target_split(const char *text);
/* The same, but that an expression, which no name can be, stays one text. */
json_t *target_words(const char *text);

#endif
