/* generate_known: tables. Sources: transformers 5.24's generation/configuration_utils.py, llama.cpp's llama-arch.cpp
 * (general.sampling) and common.cpp. */
#include "infer/generate_known.h"

#include <stdio.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

#define USED SETTING_USED
#define TOLD SETTING_TOLD
#define HARMLESS SETTING_HARMLESS

const struct setting generate_known[] = {
	{ "eos_token_id", USED, "generate.h", NULL },
	{ "do_sample temperature top_k top_p min_p typical_p repetition_penalty", USED, "as options that are named",
	  NULL },
	{ "bos_token_id pad_token_id decoder_start_token_id unk_token_id", HARMLESS, "the tokenizer's are used",
	  NULL },
	{ "max_length max_new_tokens max_time num_return_sequences", HARMLESS, "options say how much is made", NULL },
	{ "stop_strings", TOLD, "empty", "not taken over; --stop TEXT ends an answer" },
	{ "suppress_tokens begin_suppress_tokens bad_words_ids sequence_bias", TOLD, "empty",
	  "not taken over; --logit-bias ID=-inf keeps a token away" },
	{ "no_repeat_ngram_size encoder_no_repeat_ngram_size min_length min_new_tokens epsilon_cutoff eta_cutoff "
	  "penalty_alpha diversity_penalty", TOLD, "0", "not done" },
	{ "num_beams num_beam_groups guidance_scale encoder_repetition_penalty", TOLD, "1", "not done" },
	{ "forced_bos_token_id forced_eos_token_id forced_decoder_ids exponential_decay_length_penalty constraints "
	  "force_words_ids watermarking_config dola_layers top_h token_healing", TOLD, "empty", "not done" },
	{ "length_penalty early_stopping", HARMLESS, "of beams", NULL },
	{ "renormalize_logits remove_invalid_values", HARMLESS, "change no draw here", NULL },
	{ "use_cache cache_implementation cache_config max_cache_len return_legacy_cache low_memory "
	  "prefill_chunk_size compile_config disable_compile continuous_batching_config output_* "
	  "return_dict_in_generate use_mtp is_assistant num_assistant_tokens num_assistant_tokens_schedule "
	  "assistant_* target_lookbehind prompt_lookup_num_tokens max_matching_ngram_size speculation_type",
	  HARMLESS, "how it is computed, not what", NULL },
	{ "_from_model_config transformers_version generation_kwargs trust_remote_code _commit_hash chat_format",
	  HARMLESS, "what made it", NULL },
	{ 0 },
};

const struct setting generate_gguf_known[] = {
	{ "general.sampling.temp general.sampling.top_k general.sampling.top_p general.sampling.min_p "
	  "general.sampling.penalty_repeat general.sampling.penalty_last_n", USED, "as options that are named",
	  NULL },
	{ "general.sampling.sequence", HARMLESS, "--sampler-order says it", NULL },
	{ "general.sampling.xtc_probability general.sampling.mirostat", TOLD, "0", "not done" },
	{ "general.sampling.xtc_threshold general.sampling.mirostat_*", HARMLESS, "of what is told with it", NULL },
	{ "general.sampling.*", TOLD, "empty", "not done" },
	{ "tokenizer.ggml.suppress_tokens", TOLD, "empty",
	  "not taken over; --logit-bias ID=-inf keeps a token away" },
	{ 0 },
};

/* Wishes that are an option of ours. */
static const struct wish {
	const char *json, *gguf, *option;
	double off;         /* at which it does nothing */
	double init;        /* transformers' where it draws and the file does not say */
	bool draws;
} wishes[] = {
	{ "temperature", "temp", "temperature", -1, 1, true },
	{ "top_k", "top_k", "top-k", 0, 50, true },
	{ "top_p", "top_p", "top-p", 1, 1, true },
	{ "min_p", "min_p", "min-p", 0, 0, true },
	{ "typical_p", NULL, "typical-p", 1, 1, true },
	{ "repetition_penalty", "penalty_repeat", "repetition-penalty", 1, 1, false },
	{ NULL, "penalty_last_n", "repeat-last-n", -1, -1, false },
};

/* The file that says how answers are made: where it is not there, transformers looks into config.json, where older
 * models have it. */
static const json_t *wanted_of(const struct model *m, const char **name)
{
	bool own = m->source.generation_config != NULL;

	*name = own ? "/generation_config.json" : "/config.json";
	return own ? m->source.generation_config : m->source.config;
}

static double wish_of(const struct model *m, const struct wish *w, bool draws)
{
	const char *file;
	const json_t *value = w->json ? json_object_get(wanted_of(m, &file), w->json) : NULL;
	char key[80];
	int64_t whole;
	double real;
	struct err ignored = ERR_INIT; /* a value of another type is none */

	if (!m->source.is_gguf)
		return w->draws && !draws ? w->off : json_is_number(value) ? json_number_value(value) : w->init;
	snprintf(key, sizeof(key), "general.sampling.%s", w->gguf ? w->gguf : "");
	if (gguf_find(&m->source.gguf, key) && gguf_int(&m->source.gguf, key, false, 0, &whole, &ignored) == 0)
		return (double)whole;
	return gguf_real(&m->source.gguf, key, false, w->off, &real, &ignored) == 0 ? real : w->off;
}

void generate_asks(const struct model *m, const struct generate_given *given, struct buf *out)
{
	const char *file;
	bool draws = json_is_true(json_object_get(wanted_of(m, &file), "do_sample"));

	for (size_t i = 0; i < ARRAY_LEN(wishes); i++) {
		const struct wish *w = &wishes[i];
		double x = wish_of(m, w, draws);
		if (x == w->off || given->is(given->ctx, w->option) ||
		    (w->draws && given->is(given->ctx, "temperature")))
			continue;
		buf_addf(out, "%s--%s %g", out->len ? " " : "", w->option, x);
	}
}

/* Of config.json what is said of answers: the rest is the model's. */
static int judge_config(const json_t *config, struct settings *s, struct err *e)
{
	const char *key;
	json_t *value;
	int status = 0;

	json_object_foreach((json_t *)(uintptr_t)config, key, value)
		if (!status && setting_find(generate_known, key))
			status = settings_judge(s, key, value, e);
	return status;
}

static int judge(const struct model *m, struct settings *s, struct err *e)
{
	int status = 0;

	if (!m->source.is_gguf && m->source.generation_config)
		return settings_judge_all(s, m->source.generation_config, e);
	if (!m->source.is_gguf)
		return judge_config(m->source.config, s, e);
	for (size_t i = 0; i < m->source.gguf.n_kv && status == 0; i++) {
		const char *key = m->source.gguf.kv[i].key;
		if (!setting_find(generate_gguf_known, key))
			continue;
		json_t *value = gguf_json(&m->source.gguf.kv[i]);
		status = settings_judge(s, key, value, e);
		json_decref(value);
	}
	return status;
}

/* An end that no answer can have is named, one that is no id is a mistake. */
static int check_end(const struct model *m, const char *file, const json_t *id, struct err *e)
{
	if (json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < m->config.V)
		return 0;
	char *found = jsonx_line(id);
	int status = 0;
	if (json_is_integer(id))
		log_warn("%s%s: eos_token_id %.40s is none of the %d tokens: no answer ends with it", m->source.path,
		         file, found, m->config.V);
	else
		status = err_set(e, "%s%s: eos_token_id is %.60s; wanted is a token's number or a list of them",
		                 m->source.path, file, found);
	mem_free(found);
	return status;
}

static int check_ends(const struct model *m, const char *file, const json_t *config, struct err *e)
{
	const json_t *v = json_object_get(config, "eos_token_id"), *id;
	int status = 0;
	size_t i;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_array(v))
		return check_end(m, file, v, e);
	json_array_foreach((json_t *)v, i, id)
		status = status ? status : check_end(m, file, id, e);
	return status;
}

/* A warning for each end that is no token of the model; -1 and a sentence for one that is no number. */
static int generate_tell_ends(const struct model *m, struct err *e)
{
	if (m->source.is_gguf)
		return 0;
	return check_ends(m, "/config.json", m->source.config, e) < 0 ?
	               -1 :
	               check_ends(m, "/generation_config.json", m->source.generation_config, e);
}

int generate_tell(const struct model *m, const struct generate_given *given, struct err *e)
{
	char where[512];
	const char *file;
	struct buf asks = BUF_INIT;
	struct settings s = { .where = where, .table = m->source.is_gguf ? generate_gguf_known : generate_known };

	wanted_of(m, &file);
	snprintf(where, sizeof(where), "%s%s", m->source.path, m->source.is_gguf ? "" : file);
	int status = judge(m, &s, e);
	settings_tell(&s);
	if (status == 0)
		status = generate_tell_ends(m, e);
	generate_asks(m, given, &asks);
	if (status == 0 && asks.len)
		log_warn("%s asks for %s, which is done where it is given as options; without --temperature the "
		         "likeliest token is taken", where, buf_str(&asks));
	buf_release(&asks);
	return status;
}
