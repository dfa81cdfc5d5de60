/* settings: rows are found by their keys, values compared with words; see settings.h for the rule on unknown keys. */
#include "format/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

/* Words of names that change what a model computes. */
static const char *const number_words[] = {
	"act", "activation", "alibi", "bias", "bidirectional", "cap", "capping", "causal", "chunk", "clamp",
	"clip", "conv", "expert", "experts", "factor", "gate", "latent", "layernorm", "lora", "mamba", "moe",
	"mrope", "multiplier", "nope", "norm", "normalize", "parallel", "partial", "postnorm", "prenorm", "qk",
	"quant", "quantization", "residual", "rmsnorm", "rope", "rotary", "router", "scalar", "scale", "scaling",
	"shared", "sink", "sinks", "sliding", "soft", "softcap", "softcapping", "sparse", "ssm", "swa", "swin",
	"temperature", "window", "yarn",
};

/* Those of them whose 1 changes nothing. */
static const char *const factors[] = { "factor", "multiplier", "scale", "scaling" };

/* --- rows --- */

static bool key_fits(const char *pattern, size_t n, const char *key)
{
	size_t m = strlen(key);

	if (n && pattern[n - 1] == '*')
		return m >= n - 1 && !memcmp(pattern, key, n - 1);
	if (n && pattern[0] == '*')
		return m >= n - 1 && !memcmp(pattern + 1, key + m - (n - 1), n - 1);
	return n == m && !memcmp(pattern, key, n);
}

const struct setting *setting_find(const struct setting *table, const char *key)
{
	for (const struct setting *s = table; s->keys; s++)
		for (const char *at = s->keys; *at; at += strspn(at, " ")) {
			size_t n = strcspn(at, " ");
			if (key_fits(at, n, key))
				return s;
			at += n;
		}
	return NULL;
}

/* --- values --- */

bool setting_is_word(const json_t *value, const char *word, size_t n)
{
	char text[64], *end;

	if (n >= sizeof(text))
		return false;
	memcpy(text, word, n);
	text[n] = 0;
	if (json_is_string(value))
		return !strcmp(json_string_value(value), text);
	if (json_is_boolean(value))
		return !strcmp(json_is_true(value) ? "true" : "false", text);
	double number = strtod(text, &end);
	return json_is_number(value) && end != text && !*end && json_number_value(value) == number;
}

/* Null, false, 0, or nothing in it. */
static bool is_off(const json_t *v)
{
	return !v || json_is_null(v) || json_is_false(v) || (json_is_number(v) && json_number_value(v) == 0) ||
	       (json_is_string(v) && !json_string_length(v)) || (json_is_array(v) && !json_array_size(v)) ||
	       (json_is_object(v) && !json_object_size(v));
}

bool setting_is(const json_t *value, const char *words)
{
	bool each = json_array_size(value) > 0;

	if (!value || json_is_null(value))
		return true;
	for (size_t i = 0; i < json_array_size(value) && each; i++)
		each = setting_is(json_array_get(value, i), words);
	if (each)
		return true;
	for (size_t n; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (setting_is_word(value, words, n) || (!strncmp(words, "empty", n) && n == 5 && is_off(value)))
			return true;
	}
	return false;
}

/* --- the rule --- */

static bool has_word(const char *key, const char *const *words, size_t count)
{
	for (const char *at = key; *at; at += strspn(at, "._-")) {
		size_t n = strcspn(at, "._-");
		for (size_t i = 0; i < count; i++)
			if (strlen(words[i]) == n && !memcmp(words[i], at, n))
				return true;
		at += n;
	}
	return false;
}

static int judge_unknown(struct settings *s, const char *key, const json_t *value, struct err *e)
{
	if (is_off(value))
		return 0;
	if (!s->numbers || !has_word(key, number_words, ARRAY_LEN(number_words))) {
		if (s->n_unknown++ < SETTINGS_NAMED)
			buf_addf(&s->unknown, "%s%.80s", s->unknown.len ? ", " : "", key);
		return 0;
	}
	if (has_word(key, factors, ARRAY_LEN(factors)) && setting_is(value, "1"))
		return 0;
	char *found = jsonx_line(value);
	err_set(e, "%s: %s is %.80s, which is not known here and by its name changes what the model computes", s->where,
	        key, found);
	mem_free(found);
	return -1;
}

int settings_judge(struct settings *s, const char *key, const json_t *value, struct err *e)
{
	const struct setting *row = setting_find(s->table, key);

	if (!row)
		return judge_unknown(s, key, value, e);
	if (row->kind == SETTING_USED || row->kind == SETTING_HARMLESS || setting_is(value, row->words))
		return 0;
	char *found = jsonx_line(value);
	if (row->kind == SETTING_TOLD && s->n_told++ < SETTINGS_NAMED)
		buf_addf(&s->told, "%s%s is %.80s: %s", s->told.len ? "; " : "", key, found, row->why);
	else if (row->kind == SETTING_IS)
		err_set(e, "%s: %s is %.80s, wanted %s", s->where, key, found,
		        row->why ? row->why : strcmp(row->words, "empty") ? row->words : "nothing");
	mem_free(found);
	return row->kind == SETTING_TOLD ? 0 : -1;
}

int settings_judge_all(struct settings *s, const json_t *object, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
		if (settings_judge(s, key, value, e) < 0)
			return -1;
	return 0;
}

void settings_tell(struct settings *s)
{
	if (s->told.len)
		log_warn("%s: %s", s->where, buf_str(&s->told));
	if (s->n_unknown > SETTINGS_NAMED)
		buf_addf(&s->unknown, " and %zu more", s->n_unknown - SETTINGS_NAMED);
	if (s->unknown.len)
		log_warn("%s: not known and not used: %s", s->where, buf_str(&s->unknown));
	buf_release(&s->told);
	buf_release(&s->unknown);
}
