import fabric.Abi;
import fabric.Cryptlet;
import java.io.IOException;
import java.math.BigInteger;
import java.util.Arrays;

/** The middle of some numbers. */
public final class HelloJava {
    /** First four bytes of the hash of `median(uint256[])`. */
    private static final int MEDIAN = 0xce62a3bf;

    public static void main(String[] arguments) throws IOException {
        Cryptlet.serve(call -> {
            if (!Abi.isFor(call.data(), MEDIAN)) throw new Cryptlet.Refusal("hello-java has one function, median(uint256[])");
            return Abi.encode(median(Abi.words(call.data())));
        });
    }

    private static BigInteger median(BigInteger[] values) throws Cryptlet.Refusal {
        if (values.length == 0) throw new Cryptlet.Refusal("no numbers have no middle");
        Arrays.sort(values);
        BigInteger low = values[(values.length - 1) / 2], high = values[values.length / 2];
        return low.add(high).shiftRight(1);
    }
}
