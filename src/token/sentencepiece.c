/* sentencepiece: rules. */
#include "token/sentencepiece.h"

#include "base/base64.h"
#include "base/buf.h"
#include "token/marks.h"

static json_t *replace(const char *kind, const char *from, const char *to)
{
	return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", kind, from, "content", to);
}

static json_t *normalizer(const struct sentencepiece *s)
{
	json_t *steps = json_array();
	struct buf map = BUF_INIT;

	if (s->n_charsmap) {
		base64_write(&map, s->charsmap, s->n_charsmap);
		json_array_append_new(steps, json_pack("{s:s,s:s,s:b}", "type", "Precompiled", "precompiled_charsmap",
		                                       buf_str(&map), "longest", 1));
		buf_release(&map);
	}
	if (s->squeeze) {
		json_array_append_new(steps, replace("Regex", "\\A +| +\\z", ""));
		json_array_append_new(steps, replace("Regex", " {2,}", " "));
	}
	if (s->dummy_prefix)
		json_array_append_new(steps, json_pack("{s:s,s:s,s:b}", "type", "Prepend", "prepend", MARK, "first",
		                                       !s->every));
	json_array_append_new(steps, replace("String", " ", MARK));
	return json_pack("{s:s,s:o}", "type", "Sequence", "normalizers", steps);
}

static json_t *decoder(const struct sentencepiece *s)
{
	json_t *steps = json_array();

	json_array_append_new(steps, replace("String", MARK, " "));
	json_array_append_new(steps, json_pack("{s:s}", "type", "ByteFallback"));
	json_array_append_new(steps, json_pack("{s:s}", "type", "Fuse"));
	if (s->dummy_prefix)
		json_array_append_new(steps, json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ", "start", 1,
		                                       "stop", 0));
	return json_pack("{s:s,s:o}", "type", "Sequence", "decoders", steps);
}

json_t *sentencepiece_rules(const struct sentencepiece *s)
{
	return json_pack("{s:o,s:n,s:n,s:o}", "normalizer", normalizer(s), "pre_tokenizer", "post_processor", "decoder",
	                 decoder(s));
}

json_t *sentencepiece_bpe(bool fallback, const char *unknown)
{
	return json_pack("{s:s,s:n,s:s,s:n,s:n,s:b,s:b,s:b}", "type", "BPE", "dropout", "unk_token", unknown,
	                 "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1, "byte_fallback", fallback,
	                 "ignore_merges", 0);
}
