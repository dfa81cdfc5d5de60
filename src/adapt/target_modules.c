/* target: PEFT's matching of modules.
 *
 * A list means every module whose name is an entry or ends in "." and an entry. A string is "all-linear" or an
 * expression for the whole name. Expressions are Python's; PCRE2 reads those that are in use alike. They come from a
 * file, so matching is bounded. */
#include "adapt/target_modules.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "base/text.h"
#include "model/classifier.h"
#include "model/weights.h"

enum { PATTERN_MAX = 8192, MATCH_STEPS = 1000000, MATCH_KIBIBYTES = 16384 };

static bool is_linear(const struct weight *w)
{
	bool fused = w->spec->fused && w->spec->fused->written; /* no module of its own */

	return (w->spec->flags & WEIGHT_LINEAR) && !(w->spec->flags & WEIGHT_HEAD) && !classifier_owns(w) && !fused;
}

bool target_of_experts(const struct weight *w)
{
	return w->spec->shape && !strncmp(w->spec->shape, "E,", 2);
}

static bool is_module(const struct weight *w, bool experts)
{
	return is_linear(w) && (experts || !target_of_experts(w));
}

char *target_parameter(struct arena *mem, const struct weight *w)
{
	const char *last = strrchr(w->spec->hf, ' ');

	if (w->spec->fused)
		return weight_name(mem, w->spec->fused->hf, w->layer, 0);
	return last ? weight_name(mem, last + 1, w->layer, 0) : arena_strdup(mem, w->name);
}

static bool is_weight(const struct weight *w)
{
	const char *dot = strrchr(w->name, '.');
	return dot && !strcmp(dot, ".weight");
}

/* The name itself, or the end of it after a dot. */
static bool is_suffix(const char *module, const char *name)
{
	size_t n = strlen(module), m = strlen(name);
	return m && text_ends(module, name) && (n == m || module[n - m - 1] == '.');
}

static int compile(pcre2_code **code, const char *pattern, uint32_t options, struct err *e)
{
	int number;
	PCRE2_SIZE at;
	PCRE2_UCHAR text[128];
	if (strlen(pattern) > PATTERN_MAX)
		return err_set(e, "an expression for modules has %zu bytes, at most %d were wanted", strlen(pattern),
		               PATTERN_MAX);
	*code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | options, &number, &at, NULL);
	if (*code)
		return 0;
	pcre2_get_error_message(number, text, sizeof(text));
	return err_set(e, "the expression '%.80s' for modules cannot be read at byte %zu: %s", pattern, (size_t)at,
	               (const char *)text);
}

/* 1 match, 0 none, −1 on a bad or endless expression. number: what the group "idx" matched, as a number; may be
 * NULL. */
static int regex_match(const char *pattern, uint32_t options, const char *subject, long *number, struct err *e)
{
	pcre2_code *code;
	if (compile(&code, pattern, options, e) < 0)
		return -1;
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, NULL);
	if (!limits || !match)
		BUG("no memory to match an expression");
	pcre2_set_match_limit(limits, MATCH_STEPS);
	pcre2_set_heap_limit(limits, MATCH_KIBIBYTES);
	int found = pcre2_match(code, (PCRE2_SPTR)subject, PCRE2_ZERO_TERMINATED, 0, 0, match, limits),
	    status = found >= 0;
	PCRE2_UCHAR digits[20];
	PCRE2_SIZE n = sizeof(digits);
	if (number && status)
		*number = pcre2_substring_copy_byname(match, (PCRE2_SPTR) "idx", digits, &n) == 0 ?
		                  strtol((const char *)digits, NULL, 10) :
		                  -1;
	if (found < 0 && found != PCRE2_ERROR_NOMATCH)
		status = err_set(e, "the expression '%.80s' takes too long on '%.80s'", pattern, subject);
	pcre2_match_data_free(match);
	pcre2_match_context_free(limits);
	pcre2_code_free(code);
	return status;
}

int target_expression(const char *pattern, const char *name, struct err *e)
{
	return regex_match(pattern, PCRE2_ANCHORED | PCRE2_ENDANCHORED, name, NULL, e);
}

bool target_listed(const json_t *list, const char *module)
{
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry) {
		const char *name = json_string_value(entry);
		if (name && is_suffix(module, name))
			return true;
	}
	return false;
}

static int excluded(const json_t *config, const char *module, struct err *e)
{
	const json_t *exclude = json_object_get(config, "exclude_modules"),
		     *saved = json_object_get(config, "modules_to_save");
	size_t i;
	json_t *entry;
	if (json_string_length(exclude)) {
		int status = target_expression(json_string_value(exclude), module, e);
		if (status)
			return status;
	} else if (target_listed(exclude, module)) {
		return 1;
	}
	json_array_foreach(saved, i, entry)
		if (target_saves(json_string_value(entry), module))
			return 1;
	return 0;
}

/* The number of the module's layer where `pattern` is the name before the number: "layers" in model.layers.3.mlp. */
static int layer_by_pattern(const char *pattern, const char *module, long *layer, struct err *e)
{
	char *whole = mem_printf("^(?:|.*?\\.)(?:%s)\\.(?P<idx>[0-9]+)\\.", pattern);
	int status = regex_match(whole, 0, module, layer, e);
	mem_free(whole);
	return status;
}

static int layer_number(const json_t *config, const char *module, const struct weight *w, long *layer, struct err *e)
{
	const json_t *pattern = json_object_get(config, "layers_pattern");
	size_t i;
	json_t *entry;
	*layer = w->layer;
	if (json_string_length(pattern))
		return layer_by_pattern(json_string_value(pattern), module, layer, e);
	json_array_foreach(pattern, i, entry) {
		int status = layer_by_pattern(json_is_string(entry) ? json_string_value(entry) : "", module, layer, e);
		if (status)
			return status;
	}
	return json_array_size(pattern) == 0;
}

/* layers_to_transform: a number, a list of them, or nothing for all. */
static int layer_chosen(const json_t *config, const char *module, const struct weight *w, struct err *e)
{
	const json_t *layers = json_object_get(config, "layers_to_transform");
	size_t i;
	json_t *entry;
	long layer;
	if (!json_is_integer(layers) && json_array_size(layers) == 0)
		return 1;
	int status = layer_number(config, module, w, &layer, e);
	if (status <= 0 || layer < 0)
		return status < 0 ? -1 : 0;
	if (json_is_integer(layers))
		return json_integer_value(layers) == layer;
	json_array_foreach(layers, i, entry)
		if (json_integer_value(entry) == layer)
			return 1;
	return 0;
}

int target_hit(const json_t *config, const char *module, const struct weight *w, struct err *e)
{
	const json_t *targets = json_object_get(config, "target_modules");
	size_t i;
	json_t *entry;
	int status = is_weight(w) ? excluded(config, module, e) : 1;
	if (status)
		return status < 0 ? -1 : 0;
	if (json_is_string(targets)) {
		const char *text = json_string_value(targets);
		return !strcasecmp(text, "all-linear") ? is_linear(w) : target_expression(text, module, e);
	}
	json_array_foreach(targets, i, entry)
		if (json_is_string(entry) && !strcmp(json_string_value(entry), module))
			return 1; /* named in full: layers_to_transform does not count */
	return target_listed(targets, module) ? layer_chosen(config, module, w, e) : 0;
}

static const char *last_part(const char *module)
{
	const char *dot = strrchr(module, '.');
	return dot ? dot + 1 : module;
}

int target_ties(const json_t *config, struct err *e)
{
	static const char *const names[] = { "embed_tokens", "lm_head" };
	const json_t *targets = json_object_get(config, "target_modules");
	size_t i;
	json_t *entry;
	if (!json_is_true(json_object_get(config, "ensure_weight_tying")))
		return 0;
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		int hit = json_is_string(targets) ? target_expression(json_string_value(targets), names[k], e) : 0;
		if (hit)
			return hit;
		json_array_foreach(targets, i, entry)
			if (json_is_string(entry) && !strcmp(last_part(json_string_value(entry)), names[k]))
				return 1;
	}
	return 0;
}

/* PEFT compares ends without a dot here: "norm" means input_layernorm too. A module that holds others is saved with all
 * of them. */
bool target_saves(const char *entry, const char *module)
{
	size_t n = strlen(module), m = entry ? strlen(entry) : 0;
	for (size_t end = 1; m && end <= n; end++)
		if ((module[end] == '.' || end == n) && end >= m && !strncmp(module + end - m, entry, m))
			return true;
	return false;
}

int target_pattern(const json_t *patterns, const char *module, const json_t **value, struct err *e)
{
	const char *key;
	json_t *item;
	*value = NULL;
	json_object_foreach((json_t *)patterns, key, item) {
		char *whole = mem_printf("^(?:.*\\.)?(?:%s)$", key);
		int status = regex_match(whole, 0, module, NULL, e);
		mem_free(whole);
		if (status < 0)
			return -1;
		if (status) {
			*value = item;
			return 0;
		}
	}
	return 0;
}

/* Whether a module of the model is `same` as the name. */
static bool has_module(const struct model *m, const char *name, bool (*same)(const char *module, const char *name))
{
	struct arena mem = ARENA_INIT;
	struct weight head = m->config.tied ? model_tied_head(m) : (struct weight){ 0 };
	bool has = m->config.tied && same(weight_module(&mem, head.name), name);

	for (size_t i = 0; i < m->n_weights && !has; i++)
		has = is_weight(&m->weights[i]) && same(weight_module(&mem, m->weights[i].name), name);
	arena_release(&mem);
	return has;
}

static bool is_name(const char *module, const char *name) { return !strcmp(module, name); }

const char *target_unused(const json_t *config, const char *key, const struct model *m)
{
	size_t i;
	json_t *entry;

	json_array_foreach(json_object_get(config, key), i, entry)
		if (!has_module(m, json_string_value(entry), is_suffix))
			return json_string_value(entry);
	return NULL;
}

const char *target_in_full(const json_t *config, const struct model *m)
{
	size_t i;
	json_t *entry;

	json_array_foreach(json_object_get(config, "target_modules"), i, entry)
		if (has_module(m, json_string_value(entry), is_name))
			return json_string_value(entry);
	return NULL;
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list of the texts, sorted, each once. */
static json_t *sorted_list(const char **text, size_t n)
{
	json_t *list = json_array();
	qsort(text, n, sizeof(*text), text_order);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(text[i - 1], text[i]) != 0)
			json_array_append_new(list, json_string(text[i]));
	return list;
}

json_t *target_all_linear(const struct model *m, bool experts)
{
	struct arena mem = ARENA_INIT;
	const char **last = arena_array(&mem, m->n_weights, sizeof(*last)),
		   **full = arena_array(&mem, m->n_weights, sizeof(*full));
	size_t n = 0;
	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		if (is_module(w, experts) && is_weight(w)) {
			full[n] = weight_module(&mem, w->name);
			last[n] = last_part(full[n]);
			n++;
		}
	}
	json_t *list = sorted_list(last, n);
	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		if (is_weight(w) && !is_module(w, experts) && !classifier_owns(w) &&
		    target_listed(list, weight_module(&mem, w->name))) {
			json_decref(list); /* a last part means more than linears: full names then */
			list = sorted_list(full, n);
			break;
		}
	}
	arena_release(&mem);
	return list;
}

const char *target_names(struct arena *mem, const struct model *m)
{
	json_t *list = target_all_linear(m, true), *entry;
	struct buf b = BUF_INIT;
	size_t i;
	json_array_foreach(list, i, entry)
		buf_addf(&b, "%s%s", i ? ", " : "", last_part(json_string_value(entry)));
	const char *text = arena_strdup(mem, buf_str(&b));
	buf_release(&b);
	json_decref(list);
	return text;
}

json_t *target_split(const char *text)
{
	struct arena mem = ARENA_INIT;
	const char **part = arena_array(&mem, strlen(text) + 1, sizeof(*part));
	size_t n = 0;
	while (*text) {
		size_t skip = strspn(text, ", \t"), len = strcspn(text + skip, ", \t");
		if (len)
			part[n++] = arena_strndup(&mem, text + skip, len);
		text += skip + len;
	}
	json_t *list = sorted_list(part, n);
	arena_release(&mem);
	return list;
}

json_t *target_words(const char *text)
{
	return strpbrk(text, "\\*+?()[]{}|^$") ? json_string(text) : target_split(text);
}
