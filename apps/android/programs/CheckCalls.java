import java.io.File;
import java.io.FileInputStream;
import java.util.HashSet;
import java.util.Set;
import org.codehaus.mojo.animal_sniffer.ClassListBuilder;
import org.codehaus.mojo.animal_sniffer.SignatureChecker;
import org.codehaus.mojo.animal_sniffer.logging.PrintWriterLogger;

/** Ends with 1 where class files call what a platform's signature does not have: SIGNATURE CLASSES [JAR...]. */
public final class CheckCalls {
    public static void main(String[] arguments) throws Exception {
        PrintWriterLogger logger = new PrintWriterLogger(System.err);
        ClassListBuilder brought = new ClassListBuilder(logger); // what the app brings along is no call of the platform
        for (int i = 1; i < arguments.length; i++) brought.process(new File(arguments[i]));
        Set<String> packages = new HashSet<>(brought.getPackages());
        packages.add("java.lang.Record*"); // R8 makes ordinary classes of records
        packages.add("java.lang.runtime.ObjectMethods*");
        SignatureChecker checker = new SignatureChecker(new FileInputStream(arguments[0]), packages, logger);
        checker.setAnnotationTypes(java.util.List.of("org.edgewise.app.Newer")); // methods that ask first
        checker.setSourcePath(java.util.List.of());
        checker.process(new File(arguments[1]));
        if (checker.isSignatureBroken()) System.exit(1);
    }
}
