/* language: letters are counted by script; half of them must be of one. Scripts of one language say it themselves, as
 * do kana among Han. Of Latin, Cyrillic, Arabic and Devanagari letters the language is that whose common words are the
 * largest share of all words, at least 6 %, and a fifth ahead of the next; where there is none such, Arabic letters are
 * Arabic and Devanagari Hindi. The first 100,000 characters are looked at. */
#include "corpus/language.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

enum script {
	LATIN,
	CYRILLIC,
	GREEK,
	ARABIC,
	HEBREW,
	HAN,
	KANA,
	HANGUL,
	THAI,
	DEVANAGARI,
	BENGALI,
	GURMUKHI,
	GUJARATI,
	TAMIL,
	TELUGU,
	KANNADA,
	MALAYALAM,
	GEORGIAN,
	ARMENIAN,
	OTHER,
	SCRIPTS
};
enum { LOOKED = 100000, MOST_WORD = 24 };
static const double LEAST_SHARE = 0.06, AHEAD = 1.2;

static const struct {
	uint32_t from, to;
	enum script script;
} ranges[] = {
	{ 'A', 0x24f, LATIN }, { 0x370, 0x3ff, GREEK }, { 0x400, 0x52f, CYRILLIC }, { 0x530, 0x58f, ARMENIAN },
	{ 0x590, 0x5ff, HEBREW }, { 0x600, 0x77f, ARABIC }, { 0x900, 0x97f, DEVANAGARI }, { 0x980, 0x9ff, BENGALI },
	{ 0xa00, 0xa7f, GURMUKHI }, { 0xa80, 0xaff, GUJARATI }, { 0xb80, 0xbff, TAMIL }, { 0xc00, 0xc7f, TELUGU },
	{ 0xc80, 0xcff, KANNADA }, { 0xd00, 0xd7f, MALAYALAM }, { 0xe00, 0xe7f, THAI }, { 0x10a0, 0x10ff, GEORGIAN },
	{ 0x1100, 0x11ff, HANGUL }, { 0x1e00, 0x1eff, LATIN }, { 0x1f00, 0x1fff, GREEK }, { 0x3040, 0x30ff, KANA },
	{ 0x3130, 0x318f, HANGUL }, { 0x3400, 0x9fff, HAN }, { 0xac00, 0xd7af, HANGUL }, { 0xff66, 0xff9f, KANA },
	{ 0x20000, 0x3ffff, HAN },
};

/* Of scripts that say their language, and what those of several languages say where words do not. */
static const char *const of_script[SCRIPTS] = {
	[GREEK] = "el", [ARABIC] = "ar",     [HEBREW] = "he",  [HAN] = "zh",   [KANA] = "ja",     [HANGUL] = "ko",
	[THAI] = "th",  [DEVANAGARI] = "hi", [BENGALI] = "bn", [TAMIL] = "ta", [GEORGIAN] = "ka", [ARMENIAN] = "hy",
	[GURMUKHI] = "pa", [GUJARATI] = "gu", [TELUGU] = "te", [KANNADA] = "kn", [MALAYALAM] = "ml",
};

/* Of a script that several share: common short words of each, between spaces. */
static const struct {
	const char *code;
	enum script script;
	const char *words;
} common[] = {
	{ "en", LATIN, " the of and to in is that it was for on are as with his they at be this have from or had by " },
	{ "de", LATIN,
	  " der die und das den nicht von zu ist ein mit sich des auf dem eine auch als nach wie im für " },
	{ "fr", LATIN, " le la les de et des un une est que qui dans du en pour pas sur au avec il ce ne plus par " },
	{ "es", LATIN, " el la los de y que en un una es por con para las del se no su al como más lo pero " },
	{ "it", LATIN, " il la di che e un una è per non del della con i le si in da gli al nel sono come " },
	{ "pt", LATIN, " o a os as de que e do da em um uma para com não por no na se mais dos ao como " },
	{ "nl", LATIN, " de het een van en is dat op te in niet zijn met voor er aan hij ook die maar als bij " },
	{ "sv", LATIN, " och att det som en på är av för med den till inte om ett han men var jag från " },
	{ "da", LATIN, " og det at en af er til på som med for ikke den der han var jeg af et men havde blev " },
	{ "no", LATIN, " og det at en av er til på som med for ikke den han var jeg et men hadde ble fra " },
	{ "fi", LATIN, " ja on ei se että hän oli ovat mutta kun niin ole myös joka sen mitä tai kuin nyt " },
	{ "pl", LATIN, " w na się nie z że jest jak po co ale za od przez był tak dla " },
	{ "cs", LATIN, " se na že v je s o z jako ale by jsem pro tak byl po jeho " },
	{ "hu", LATIN, " az és hogy nem egy meg volt ez de csak még azt mint már ha el " },
	{ "ro", LATIN, " și de în la cu nu pe că un care din se mai este pentru sau au prin " },
	{ "tr", LATIN, " ve bir bu da de için ile çok ne gibi daha o ki var olarak ama sonra kadar " },
	{ "id", LATIN, " yang dan di ini itu dengan untuk tidak dari dalam akan pada juga ke saya adalah " },
	{ "vi", LATIN, " và của là có không được trong một những cho các người với này đã " },
	{ "sw", LATIN, " ya na wa kwa ni katika la za kuwa cha hii yake kama hiyo watu pia lakini sana vya " },
	{ "ru", CYRILLIC,
	  " и в не на что он я с как это по но "
	  "из у его за к так же от все она был " },
	{ "uk", CYRILLIC,
	  " і в не на що він я з як це та до "
	  "його за але від у й її був про для " },
	{ "bg", CYRILLIC,
	  " и на да се не в от за е с че по "
	  "си са като това ще го ли но бе " },
	{ "ar", ARABIC,
	  " في من على أن إلى ما لا هذا هذه عن مع كان التي الذي"
	  " هو هي أو كل بعد قد ذلك بين كما " },
	{ "fa", ARABIC,
	  " و در به از که این را با است برای آن یک خود تا بر ها"
	  " هم می اما شما شده هر " },
	{ "ur", ARABIC,
	  " کے کی میں ہے اور سے کا کو نے ہیں کہ اس پر یہ ایک تھا"
	  " بھی وہ نہیں آپ کر لیے " },
	{ "hi", DEVANAGARI,
	  " के में है की और से का को पर हैं यह एक"
	  " कि नहीं था भी इस लिए ने वह कर हो जो " },
	{ "mr", DEVANAGARI,
	  " आणि आहे या च्या हे तर ते मी आहेत"
	  " होते एक पण व नाही करून त्या हा ही"
	  " असे " },
	{ "ne", DEVANAGARI,
	  " र छ को मा छन् पनि हो यो एक गर्न भएको"
	  " लागि थियो तर म गरेको यस त्यो भने"
	  " छैन " },
};

static enum script script_of(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return ranges[i].script;
	return OTHER;
}

static size_t count_letters(const struct facts *f, size_t *letters)
{
	size_t all = 0, size;
	uint32_t c;

	for (size_t i = 0; i < f->n && all < LOOKED; i += size) {
		size = utf8_decode(f->text + i, f->n - i, &c);
		if (!unicode_is_alpha(c))
			continue;
		letters[script_of(c)]++;
		all++;
	}
	return all;
}

/* Letters at both ends of a word, in small ones, between two spaces; false: it is none or too long. */
static bool as_listed(struct text_span w, struct buf *out)
{
	uint32_t c;

	if (w.chars > MOST_WORD)
		return false;
	buf_clear(out);
	buf_addc(out, ' ');
	while (w.n && (unsigned char)*w.s < 0x80 && !unicode_is_alpha((unsigned char)*w.s)) {
		w.s++;
		w.n--;
	}
	while (w.n && (unsigned char)w.s[w.n - 1] < 0x80 && !unicode_is_alpha((unsigned char)w.s[w.n - 1]))
		w.n--;
	if (!w.n || !utf8_decode(w.s, w.n, &c))
		return false;
	unicode_recase(out, w.s, w.n, UNICODE_LOWER);
	buf_addc(out, ' ');
	return true;
}

static const char *by_words(const struct facts *f, enum script script, bool likeliest)
{
	size_t hits[ARRAY_LEN(common)] = { 0 }, n = 0, chars = 0, best = 0, second = 0;
	struct buf word = BUF_INIT;

	for (size_t i = 0; i < f->words.n && chars < LOOKED; i++) {
		chars += f->words.items[i].chars;
		if (!as_listed(f->words.items[i], &word))
			continue;
		n++;
		for (size_t k = 0; k < ARRAY_LEN(common); k++)
			hits[k] += common[k].script == script && strstr(common[k].words, buf_str(&word));
	}
	buf_release(&word);
	for (size_t k = 1; k < ARRAY_LEN(common); k++)
		if (hits[k] > hits[best])
			best = k;
	for (size_t k = 0; k < ARRAY_LEN(common); k++)
		if (k != best && hits[k] > second)
			second = hits[k];
	bool clear = (double)hits[best] >= LEAST_SHARE * (double)n && (double)hits[best] >= AHEAD * (double)second;
	if (n && hits[best] && (clear || likeliest))
		return common[best].code;
	return of_script[script] ? of_script[script] : likeliest && script == LATIN ? "en" : "und";
}

static bool is_shared(enum script script)
{
	return script == LATIN || script == CYRILLIC || script == ARABIC || script == DEVANAGARI;
}

static const char *guess(const struct facts *f, bool likeliest)
{
	size_t letters[SCRIPTS] = { 0 }, all = count_letters(f, letters), best = 0;

	if (letters[KANA] * 10 > letters[HAN] + letters[KANA]) { /* Japanese has both */
		letters[KANA] += letters[HAN];
		letters[HAN] = 0;
	}
	for (size_t i = 1; i < SCRIPTS; i++)
		if (letters[i] > letters[best])
			best = i;
	if (!all || 2 * letters[best] < all || best == OTHER)
		return "und";
	return is_shared(best) ? by_words(f, best, likeliest) : of_script[best];
}

const char *language_guess(const struct facts *f) { return guess(f, false); }

const char *language_likeliest(const struct facts *f) { return guess(f, true); }

bool language_is_known(const char *code, size_t n)
{
	const char *list = language_list();

	for (const char *at = list; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, " ") == n && !strncmp(at, code, n))
			return true;
	return false;
}

const char *language_list(void)
{
	return "ar bg bn cs da de el en es fa fi fr gu he hi hu hy id it ja ka kn ko ml mr ne nl no pa pl pt ro ru sv "
	       "sw ta te th tr uk ur vi zh und";
}
