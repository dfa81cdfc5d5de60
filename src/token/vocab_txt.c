/* vocab_txt: BERT's vocab.txt, a piece a line, its id the line's number. What tokenizer_config.json says of capitals,
 * accents and Chinese counts; [CLS] and [SEP] go around a text. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_parts.h"

static const struct {
	const char *key, *text;
} special[] = {
	{ "pad_token", "[PAD]" }, { "unk_token", "[UNK]" },   { "cls_token", "[CLS]" },
	{ "sep_token", "[SEP]" }, { "mask_token", "[MASK]" },
};

static json_t *read_pieces(const char *path, struct err *e)
{
	struct buf file = BUF_INIT;
	json_t *vocab = json_object();
	size_t bad;
	long long id = 0;
	int rc = io_read(&file, path, e);
	const char *text = buf_str(&file);
	if (rc == 0 && (!utf8_valid(text, file.len, &bad) || memchr(text, 0, file.len)))
		rc = err_set(e, "%s: no text in UTF-8", path);
	for (size_t at = 0; rc == 0 && at < file.len; id++) {
		size_t n = strcspn(text + at, "\n"), length = n && text[at + n - 1] == '\r' ? n - 1 : n;
		char *piece = mem_strndup(text + at, length);
		if (length) /* of a piece that is there twice the last line counts, as in transformers */
			json_object_set_new(vocab, piece, json_integer(id));
		mem_free(piece);
		at += n + 1;
	}
	buf_release(&file);
	if (rc == 0)
		return vocab;
	json_decref(vocab);
	return NULL;
}

static json_t *text_token(const char *text, const json_t *vocab)
{
	return json_pack("[s,O]", text, json_object_get(vocab, text));
}

static json_t *make_json(const json_t *vocab, json_t *config, struct err *e)
{
	const json_t *strip = json_object_get(config, "strip_accents");
	int lower, chinese;
	if (jsonx_bool(config, "do_lower_case", true, &lower, e) ||
	    jsonx_bool(config, "tokenize_chinese_chars", true, &chinese, e))
		return NULL;
	json_t *added = json_array();
	for (size_t i = 0; i < ARRAY_LEN(special); i++) {
		const json_t *id = json_object_get(vocab, special[i].text);
		if (!id)
			continue;
		json_array_append_new(added, json_pack("{s:I,s:s,s:b,s:b}", "id", json_integer_value(id), "content",
		                                       special[i].text, "special", 1, "normalized", 0));
		if (!json_object_get(config, special[i].key))
			json_object_set_new(config, special[i].key, json_string(special[i].text));
	}
	json_t *j = json_pack("{s:o,s:{s:s,s:b,s:b,s:O?,s:b},s:{s:s},s:{s:s,s:s,s:b},s:{s:s,s:s,s:s,s:i,s:O}}",
	                      "added_tokens", added, "normalizer", "type", "BertNormalizer", "clean_text", 1,
	                      "handle_chinese_chars", chinese, "strip_accents", strip, "lowercase", lower,
	                      "pre_tokenizer", "type", "BertPreTokenizer", "decoder", "type", "WordPiece", "prefix",
	                      "##", "cleanup", 1, "model", "type", "WordPiece", "unk_token", "[UNK]",
	                      "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab", vocab);
	if (json_object_get(vocab, "[CLS]") && json_object_get(vocab, "[SEP]"))
		json_object_set_new(j, "post_processor",
		                    json_pack("{s:s,s:o,s:o}", "type", "BertProcessing", "sep",
		                              text_token("[SEP]", vocab), "cls", text_token("[CLS]", vocab)));
	return j;
}

struct tokenizer *vocab_txt_open(const char *path, json_t *config, struct err *e)
{
	json_t *vocab = read_pieces(path, e), *j = vocab ? make_json(vocab, config, e) : NULL;
	struct tokenizer *t = j ? tokenizer_from_json(j, config, path, e) : NULL;
	json_decref(j);
	json_decref(vocab);
	return t;
}
