/* scripts: PCRE2 knows which characters are of a script; its Unicode is newer, and the scripts that came later count as
 * none. */
#include "token/scripts.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "token/pattern.h"

const char scripts[] =
	"Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali "
	"Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian "
	"Chakma Cham Cherokee Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Duployan "
	"Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gurmukhi "
	"Hangul Hanunoo Hatran Hebrew Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian "
	"Javanese Kaithi Kannada Kayah_Li Kharoshthi Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A "
	"Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean Marchen Meetei_Mayek Mende_Kikakui "
	"Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean New_Tai_Lue "
	"Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian "
	"Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa "
	"Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting "
	"Sinhala Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri "
	"Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi Han Hiragana Katakana";

int scripts_number(const char *name)
{
	size_t n = strlen(name);
	int k = 1;

	for (const char *at = scripts; *at; k++) {
		size_t length = strcspn(at, " ");
		if (length == n && !memcmp(at, name, n))
			return k;
		at += length;
		at += strspn(at, " ");
	}
	BUG("no script %s", name);
}

/* All of the text that are of the script. */
static int find(const char *name, int length, int number, const struct buf *text, struct pattern_scratch *scratch,
                uint8_t *out, struct err *e)
{
	char source[64];
	size_t from = 0, begin, end;
	int found = 0, n = snprintf(source, sizeof(source), "\\p{sc:%.*s}", length, name);
	struct pattern *p = pattern_new(source, (size_t)n, false, e);

	if (!p)
		return -1;
	while (from < text->len &&
	       (found = pattern_next(p, scratch, text->data, text->len, from, &begin, &end, e)) > 0) {
		uint32_t c = 0;
		utf8_decode(text->data + begin, text->len - begin, &c);
		out[c] = (uint8_t)number;
		from = end;
	}
	pattern_free(p);
	return found < 0 ? -1 : 0;
}

int scripts_of(const uint32_t *c, size_t n, uint8_t *out, struct err *e)
{
	struct buf text = BUF_INIT;
	struct pattern_scratch *scratch = pattern_scratch_new();
	int status = 0, k = 1;

	for (size_t i = 0; i < n; i++) {
		char one[4];
		buf_add(&text, one, utf8_encode(c[i], one));
		out[c[i]] = (uint8_t)scripts_number("Common");
	}
	for (const char *at = scripts; *at && !status && n; k++) {
		int length = (int)strcspn(at, " ");
		status = find(at, length, k, &text, scratch, out, e);
		at += length;
		at += strspn(at, " ");
	}
	pattern_scratch_free(scratch);
	buf_release(&text);
	return status;
}
