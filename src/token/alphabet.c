/* alphabet: GPT-2's bytes_to_unicode (encoder.py): the 188 bytes that are printable in Latin-1 stand for themselves;
 * the other 68, in order, are U+0100 and on. In closed form: 0–32 → U+0100–U+0120, 127–160 → U+0121–U+0142,
 * 173 → U+0143. */
#include "token/alphabet.h"

#include <stdint.h>

#include "base/utf8.h"

static uint32_t character_of(uint8_t byte)
{
	if (byte <= 32)
		return 0x100u + byte;
	if (byte >= 127 && byte <= 160)
		return 0x121u + byte - 127;
	return byte == 173 ? 0x143 : byte;
}

static int byte_of(uint32_t character)
{
	if (character >= 0x100 && character <= 0x120)
		return (int)(character - 0x100);
	if (character >= 0x121 && character <= 0x142)
		return (int)(character - 0x121 + 127);
	if (character == 0x143)
		return 173;
	return character < 0x100 && character_of((uint8_t)character) == character ? (int)character : -1;
}

void alphabet_write(struct buf *out, const char *bytes, size_t n)
{
	char text[4];
	for (size_t i = 0; i < n; i++) {
		size_t k = utf8_encode(character_of((uint8_t)bytes[i]), text);
		buf_add(out, text, k);
	}
}

bool alphabet_read(struct buf *out, const char *text, size_t n)
{
	size_t begin = out->len;
	for (size_t i = 0; i < n;) {
		uint32_t character = 0;
		size_t k = utf8_decode(text + i, n - i, &character);
		int byte = k ? byte_of(character) : -1;
		if (byte < 0) {
			out->len = begin;
			if (out->data)
				out->data[begin] = 0;
			return false;
		}
		buf_addc(out, (char)byte);
		i += k;
	}
	return true;
}
