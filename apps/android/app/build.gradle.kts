// For those who open the app in Android Studio. Never run by the project itself: `nox -s "apps(android)"` builds without it.
// It writes no assets/build.json, so that the app says nothing of its engines' versions and costs.
plugins { alias(libs.plugins.android.application) }

android {
    namespace = "org.edgewise.app"
    compileSdk = libs.versions.target.sdk.get().toInt()
    defaultConfig {
        applicationId = "org.edgewise.app"
        minSdk = libs.versions.min.sdk.get().toInt()
        targetSdk = libs.versions.target.sdk.get().toInt()
        versionName = libs.versions.app.get()
        versionCode = 1
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    sourceSets["main"].java.srcDir("src/studio/java")
}

dependencies {
    implementation(libs.bundles.litert)
    implementation(libs.bundles.onnxruntime)
    implementation(libs.bundles.executorch)
}
