package fabric;

import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** As much of Solidity's ABI as this example needs: words, lists of words, and `Error(string)`. */
public final class Abi {
    /** Bytes of a word. */
    public static final int WORD = 32;

    private Abi() {}

    /** Is this call for the function with this selector? */
    public static boolean isFor(byte[] data, int selector) {
        return data.length >= 4 && new BigInteger(1, Arrays.copyOf(data, 4)).intValue() == selector;
    }

    /** The word at this position of the arguments. */
    public static BigInteger word(byte[] data, int position) throws Cryptlet.Refusal {
        int at = 4 + position * WORD;
        if (position < 0 || position > data.length || at + WORD > data.length) throw new Cryptlet.Refusal("the call data is too short");
        return new BigInteger(1, Arrays.copyOfRange(data, at, at + WORD));
    }

    /** The list of words that the first argument points to. */
    public static BigInteger[] words(byte[] data) throws Cryptlet.Refusal {
        int start = index(word(data, 0)) / WORD;
        BigInteger[] list = new BigInteger[index(word(data, start))];
        for (int position = 0; position < list.length; position++) list[position] = word(data, start + 1 + position);
        return list;
    }

    /** Words one after the other. */
    public static byte[] encode(BigInteger... words) {
        byte[] encoded = new byte[words.length * WORD];
        for (int position = 0; position < words.length; position++) {
            byte[] bytes = words[position].toByteArray();
            int length = Math.min(bytes.length, WORD);
            System.arraycopy(bytes, bytes.length - length, encoded, (position + 1) * WORD - length, length);
        }
        return encoded;
    }

    /** `Error(string)`. */
    static byte[] error(String reason) {
        byte[] text = reason.getBytes(StandardCharsets.UTF_8);
        ByteArrayOutputStream encoded = new ByteArrayOutputStream();
        encoded.writeBytes(new byte[] {0x08, (byte) 0xc3, 0x79, (byte) 0xa0});
        encoded.writeBytes(encode(BigInteger.valueOf(WORD), BigInteger.valueOf(text.length)));
        encoded.writeBytes(Arrays.copyOf(text, (text.length + WORD - 1) / WORD * WORD));
        return encoded.toByteArray();
    }

    /** A number that must be small enough to count bytes or words of this very call with. */
    private static int index(BigInteger number) throws Cryptlet.Refusal {
        if (number.bitLength() > 20) throw new Cryptlet.Refusal("the call data points outside itself");
        return number.intValue();
    }
}
