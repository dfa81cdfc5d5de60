/* gguf_pre: pre-tokenizers by the name that GGUF files give them (tokenizer.ggml.pre).
 *
 * A GGUF holds no expressions, only a name that llama.cpp's converter chose; the expressions are those of the models'
 * own tokenizer.json. A name that is not here is refused: a wrong pre-tokenizer would go unnoticed and cost quality. */
#include "token/gguf_pre.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt.h"
#include "token/pretokenize.h"
#include "token/tokenizer_put.h"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LLAMA3 \
	CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| " \
	            "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2 \
	CONTRACTION \
		"|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN35 \
	CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| " \
	            "?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(after) \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" after "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" after
#define AFTER_CASED "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define TEKKEN CASED("") "|\\p{N}" AFTER_CASED
#define GPT4O CASED(CONTRACTION "?") "|\\p{N}{1,3}" AFTER_CASED
#define CJK \
	"[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+" /* U+4E00–9FA5, 0800–4E00, \
	                                                                                    AC00–D7FF */
#define CJK_KANA \
	"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+" /* U+4E00–9FA5, 3040–309F, \
	                                                                                    30A0–30FF */
/* letters with cases, as DeepSeek LLM lists them */
#define CASED_LETTERS \
	"A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}" \
	"\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}\\x{388}-\\x{38A}" \
	"\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}" \
	"\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}" \
	"\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}\\x{1F18}-\\x{1F1D}" \
	"\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}\\x{1F5D}" \
	"\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}" \
	"\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}" \
	"\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}" \
	"\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}" \
	"\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}" \
	"\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}" \
	"\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}" \
	"\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}" \
	"\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
#define EXAONE_MOE \
	CONTRACTION \
		"|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|" \
		"\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3 \
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| " \
	"?[\\p{P}\\p{S}]+[\\r\\n]*" \
	"|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define ENDS "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define NO_MARKS " ?[^(\\s|.,!?…。，、।۔،)]+"

enum { DIGITS = 1, IGNORE_MERGES = 2, ADD_BOS = 4 }; /* DIGITS: each digit alone, before all else */

static const struct pre {
	const char *names; /* separated by spaces */
	int flags;
	const char *regex[6];
} table[] = {
	{ "gpt-2 phi-2 mpt olmo jais trillion roberta-bpe jina-v1-en jina-v2-es jina-v2-de jina-v2-code jina-es "
	  "jina-de gigachat a.x-4.0 mellum modern-bert exaone4 granite-docling",
	  0,
	  { GPT2 } },
	{ "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", DIGITS, { GPT2 } },
	{ "llama-bpe llama3 llama-v3 falcon3 pixtral falcon-h1 midm-2.0 lfm2 jina-v5-nano",
	  IGNORE_MERGES | ADD_BOS, { LLAMA3 } },
	{ "dbrx smaug-bpe glm4 chatglm-bpe", 0, { LLAMA3 } },
	{ "qwen2 stablelm2 deepseek-r1-qwen kormo f2llmv2 megrez hunyuan solar-open grok-2", 0, { QWEN2 } },
	{ "qwen35", 0, { QWEN35 } },
	{ "tekken", IGNORE_MERGES | ADD_BOS, { TEKKEN } },
	{ "gpt-4o llama4 kanana2 talkie minimax-m2", 0, { GPT4O } },
	{ "deepseek-coder", 0, { "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}" } },
	{ "deepseek-v3 hunyuan-dense joyai-llm hy_v4", 0, { "\\p{N}{1,3}", CJK_KANA, DEEPSEEK3 } },
	{ "deepseek-llm",
	  0,
	  { "[\\r\\n]", "\\s?[" CASED_LETTERS "]+",
	    "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+", "\\s+$", CJK,
	    "\\p{N}+" } },
	{ "chameleon",
	  0,
	  { "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
	    "[\\p{P}!-/:-@\\[-`{-~]", GPT2 } },
	{ "superbpe", 0, { "\\p{N}+", "(?=(\\d{3})+(?!\\d))" } },
	{ "exaone-moe", 0, { EXAONE_MOE } },
	{ "falcon", 0, { "[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]" } },
	{ "ufakzeka", 0, { "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" ENDS } },
	{ "seed-coder", 0,
	  { CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" ENDS } },
	{ "bailingmoe bailingmoe2 llada-moe", 0,
	  { "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
	    "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+" } },
	{ "tiny_aya cohere2moe", 0, { "\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O } },
	{ "poro-chat bloom gpt3-finnish", 0, { NO_MARKS } },
	{ "viking", 0, { NO_MARKS, "\\p{N}" } },
};

static bool is_named(const char *names, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = names; n && *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && memcmp(at, name, n) == 0)
			return true;
	return false;
}

enum { MOST_NAMES = 128, LONGEST = 32 };

/* Every name of the table; returns how many. */
static size_t list_names(char (*names)[LONGEST], const char **list)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (const char *at = table[i].names; *at && n < MOST_NAMES; n++) {
			snprintf(names[n], LONGEST, "%.*s", (int)strcspn(at, " "), at);
			list[n] = names[n];
			at += strcspn(at, " ");
			at += strspn(at, " ");
		}
	return n;
}

static int refuse(const char *name, struct err *e)
{
	char names[MOST_NAMES][LONGEST];
	const char *list[MOST_NAMES], *near = opt_nearest(name, list, list_names(names, list));

	return err_set(e, "the pre-tokenizer \"%.64s\" (tokenizer.ggml.pre) is not known%s%s%s", name,
	               near ? "; the nearest that is: \"" : "", near ? near : "", near ? "\"" : "");
}

json_t *gguf_pre(const char *name, bool *ignore_merges, bool *add_bos, struct err *e)
{
	const struct pre *p = NULL;
	for (size_t i = 0; i < ARRAY_LEN(table) && !p; i++)
		if (is_named(table[i].names, name))
			p = &table[i];
	if (!p) {
		refuse(name, e);
		return NULL;
	}
	bool only_gpt2 = strcmp(p->regex[0], GPT2) == 0;
	json_t *steps = json_array();
	if (p->flags & DIGITS)
		json_array_append_new(steps, json_pack("{s:s,s:b}", "type", "Digits", "individual_digits", 1));
	for (size_t i = 0; !only_gpt2 && i < ARRAY_LEN(p->regex) && p->regex[i]; i++)
		json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
		                                       p->regex[i], "behavior", "Isolated", "invert", 0));
	json_array_append_new(steps, json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
	                                       "trim_offsets", 1, "use_regex", only_gpt2));
	*ignore_merges = p->flags & IGNORE_MERGES;
	*add_bos = p->flags & ADD_BOS;
	return json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", steps);
}

/* --- the name of a pre-tokenizer --- */

static bool cuts_alike(const struct pretokenizer *a, const struct pretokenizer *b, const struct buf *text)
{
	struct slice in = { .text = text->data, .n = text->len }, x, y;
	struct words *wa = words_new(), *wb = words_new();
	struct err ignored = ERR_INIT;
	bool alike = pretokenizer_run(a, &in, wa, &ignored) == 0 && pretokenizer_run(b, &in, wb, &ignored) == 0;

	while (alike) {
		bool more = words_next(wa, &x);
		if (more != words_next(wb, &y) || !more) {
			alike = !more && !words_next(wb, &y);
			break;
		}
		alike = x.n == y.n && !memcmp(x.text, y.text, x.n);
	}
	words_free(wa);
	words_free(wb);
	return alike;
}

static bool is_pre(const char *name, const struct pretokenizer *own)
{
	bool ignore_merges, add_bos, alike;
	struct err ignored = ERR_INIT;
	json_t *rules = gguf_pre(name, &ignore_merges, &add_bos, &ignored);
	struct pretokenizer *theirs = rules ? pretokenizer_parse(rules, &ignored) : NULL;

	alike = theirs != NULL;
	for (size_t i = 0; i < PROBES && alike; i++) {
		struct buf text = BUF_INIT;
		probe_text(&text, i, false);
		alike = cuts_alike(own, theirs, &text);
		buf_release(&text);
	}
	pretokenizer_free(theirs);
	json_decref(rules);
	return alike;
}

const char *gguf_pre_name(const json_t *pre_tokenizer, bool ignore_merges, struct err *e)
{
	static _Thread_local char name[64];
	struct pretokenizer *own = pretokenizer_parse(pre_tokenizer, e);
	bool cuts = false;

	if (!own)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(table[i].names, " "), table[i].names);
		bool alike = is_pre(name, own);
		cuts |= alike;
		if (!alike || !(table[i].flags & IGNORE_MERGES) != !ignore_merges)
			continue;
		pretokenizer_free(own);
		return name;
	}
	pretokenizer_free(own);
	if (cuts)
		err_set(e, "its pre_tokenizer has a name in GGUF, but not with ignore_merges %s",
		        ignore_merges ? "true" : "false");
	else
		err_set(e, "no name in GGUF (tokenizer.ggml.pre) stands for its pre_tokenizer");
	return NULL;
}
